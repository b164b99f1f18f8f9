//! Compiles the programs for the kernel.

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    #[cfg(feature = "bpf")]
    compile();
}

#[cfg(feature = "bpf")]
fn compile() {
    let cargo = |name: &str| std::env::var(name).unwrap_or_default();
    let arch = match cargo("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => panic!("cut-through does not know {other}: build with `--no-default-features`"),
    };
    let out = std::path::PathBuf::from(cargo("OUT_DIR"));
    // Headers of libbpf as libbpf-sys brings them, and of the kernel where Debian and Ubuntu have them.
    let arguments = [
        format!("-D__TARGET_ARCH_{arch}"),
        format!("-I{}", cargo("DEP_BPF_INCLUDE")),
        format!("-idirafter/usr/include/{}-linux-gnu", cargo("CARGO_CFG_TARGET_ARCH")),
    ];
    let fixed = ["-mcpu=v3", "-Wall", "-Werror"].map(String::from);
    let compiled = libbpf_cargo::SkeletonBuilder::new()
        .source("bpf/cutthrough.bpf.c")
        .obj(out.join("cutthrough.bpf.o"))
        .clang_args(arguments.iter().chain(&fixed))
        .build();
    if let Err(error) = compiled {
        panic!(
            "cut-through could not be compiled: {error:#}\n\
             Install clang, or build with `--no-default-features`."
        );
    }
}
