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
    // Headers of libbpf as libbpf-sys brings them, and of the kernel where Debian and Ubuntu have them.
    let compiled = std::process::Command::new("clang")
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-fno-stack-protector"])
        .args(["-Wall", "-Werror"])
        .arg(format!("-D__TARGET_ARCH_{arch}"))
        .arg(format!("-I{}", cargo("DEP_BPF_INCLUDE")))
        .arg(format!("-idirafter/usr/include/{}-linux-gnu", cargo("CARGO_CFG_TARGET_ARCH")))
        .args(["-c", "bpf/cutthrough.bpf.c", "-o"])
        .arg(format!("{}/cutthrough.bpf.o", cargo("OUT_DIR")))
        .status();
    match compiled {
        Ok(status) if status.success() => (),
        Ok(status) => panic!("cut-through could not be compiled: clang ended with {status}"),
        Err(error) => {
            panic!("clang: {error}\nInstall clang, or build with `--no-default-features`.")
        }
    }
}
