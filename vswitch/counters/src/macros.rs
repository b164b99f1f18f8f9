//! The macro that turns lines of the table into structs.

/// A struct of counters. A line is `field: Kind "prometheus_name" "Help.";`. Makes the struct, `+=`,
/// serde, its lines as [`crate::Metric`]s, and its values in their order.
macro_rules! counters {
    ($(#[$doc:meta])* $struct:ident $([$($extra:tt)*])? {
        $($field:ident: $kind:ident $name:literal $help:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(default)]
        pub struct $struct {
            $($($extra)*)?
            $(#[doc = $help] pub $field: u64,)*
        }

        impl $struct {
            /// Lines of the table, in the order of the fields.
            pub const METRICS: &'static [$crate::Metric] = &[$($crate::Metric {
                field: stringify!($field),
                name: $name,
                kind: $crate::Kind::$kind,
                help: $help,
            },)*];

            /// Each line with its value.
            pub fn values(&self) -> impl Iterator<Item = (&'static $crate::Metric, u64)> {
                Self::METRICS.iter().zip([$(self.$field,)*])
            }
        }

        impl std::ops::AddAssign for $struct {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

/// A struct for each stage, and one with the lines of all, to which each can be added.
macro_rules! combined_counters {
    ($(#[$doc:meta])* $all:ident [$($extra:tt)*] {
        $($(#[$stage_doc:meta])* $stage:ident {
            $($field:ident: $kind:ident $name:literal $help:literal;)*
        })*
    }) => {
        counters! { $(#[$doc])* $all [$($extra)*] { $($($field: $kind $name $help;)*)* } }
        $(
            counters! { $(#[$stage_doc])* $stage { $($field: $kind $name $help;)* } }

            impl std::ops::AddAssign<$stage> for $all {
                fn add_assign(&mut self, stage: $stage) {
                    $(self.$field += stage.$field;)*
                }
            }
        )*
    };
}

pub(crate) use {combined_counters, counters};
