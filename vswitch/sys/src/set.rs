//! Sets and maps with concatenated keys and intervals.
//!
//! A key is a list of fields, each in registers of its own. An element is a key, or from one key to
//! another: then each field lies between its two ends. The kernel keeps such a set in a structure
//! (`nft_set_pipapo`) where a range of ports is a handful of entries, not one a port.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use nftnl::nftnl_sys as sys;
use nftnl::set::{Set as Inner, SetKey};
use nftnl::{Batch, MsgType, Table};

use crate::limits::{DATA_LEN_MAX, KEY_FIELDS_MAX};

/// `NFT_SET_INTERVAL`, `NFT_SET_MAP` and `NFT_SET_CONCAT`.
const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const CONCAT: u32 = 0x80;
/// Bits of one field's type within the type of a concatenated key, as `nft` packs them.
const TYPE_BITS: u32 = 6;

/// A note for `nft`, without which it lists names of devices as empty: the keys' byte order is the host's.
/// Type (`NFTNL_UDATA_SET_KEYBYTEORDER`), length, and the value (`BYTEORDER_HOST_ENDIAN`).
const DEVICE_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

/// A part of a key. The numbers are those that `nft` knows the types by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A transport protocol.
    Protocol,
    /// A port.
    Port,
    /// The name of a device, filled up with zeros.
    Device,
    /// The index of a device, in the host's byte order.
    DeviceIndex,
}

impl Field {
    fn kind(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Device => 41,
            Self::DeviceIndex => 20,
        }
    }

    /// Bytes that it has, before it is filled up to whole registers.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Ipv4 | Self::DeviceIndex => 4,
            Self::Ipv6 | Self::Device => 16,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }
}

/// Keys are bytes here; their type and length are set for each set.
struct Bytes;

impl SetKey for Bytes {
    const TYPE: u32 = 0;
    const LEN: u32 = 0;

    fn data(&self) -> Box<[u8]> {
        Box::default()
    }
}

/// A named set of a table, or a map.
pub struct Set<'a> {
    inner: Inner<'a, Bytes>,
    fields: Vec<Field>,
    /// The fields of values; none for a set.
    values: Vec<Field>,
    has_intervals: bool,
    elements: usize,
}

impl<'a> Set<'a> {
    /// A set of single keys with one field, or of intervals with several. `id`: unlike any other of
    /// the batch.
    ///
    /// # Panics
    /// With no field, or more than there are registers.
    #[must_use]
    pub fn new(name: &CStr, id: u32, table: &'a Table, fields: &[Field]) -> Self {
        Self::with_values(name, id, table, (fields, fields.len() > 1), &[])
    }

    /// A set of single keys, also with several fields: the kernel looks a key up in a hash table.
    ///
    /// # Panics
    /// As [`Set::new`].
    #[must_use]
    pub fn keys(name: &CStr, id: u32, table: &'a Table, fields: &[Field]) -> Self {
        Self::with_values(name, id, table, (fields, false), &[])
    }

    /// A map of single keys to values.
    ///
    /// # Panics
    /// As [`Set::new`].
    #[must_use]
    pub fn map(name: &CStr, id: u32, table: &'a Table, fields: &[Field], values: &[Field]) -> Self {
        Self::with_values(name, id, table, (fields, false), values)
    }

    /// A map of intervals to values, with several fields.
    ///
    /// # Panics
    /// As [`Set::new`].
    #[must_use]
    pub fn interval_map(
        name: &CStr,
        id: u32,
        table: &'a Table,
        fields: &[Field],
        values: &[Field],
    ) -> Self {
        assert!(fields.len() > 1, "{fields:?}");
        Self::with_values(name, id, table, (fields, true), values)
    }

    fn with_values(
        name: &CStr,
        id: u32,
        table: &'a Table,
        (fields, has_intervals): (&[Field], bool),
        values: &[Field],
    ) -> Self {
        assert!((1..=KEY_FIELDS_MAX).contains(&fields.len()), "{fields:?}");
        let inner = Inner::<Bytes>::new_named(name, id, table, table.get_family());
        let set = inner.as_ptr().as_ptr();
        // SAFETY: `set` is alive as long as `inner`, and these attributes are 32-bit numbers.
        unsafe {
            sys::nftnl_set_set_u32(set, sys::NFTNL_SET_KEY_TYPE as u16, kind_of(fields));
            sys::nftnl_set_set_u32(set, sys::NFTNL_SET_KEY_LEN as u16, len_of(fields));
        }
        let mut flags = 0;
        if !values.is_empty() {
            flags |= MAP;
            // SAFETY: as above.
            unsafe {
                sys::nftnl_set_set_u32(set, sys::NFTNL_SET_DATA_TYPE as u16, kind_of(values));
                sys::nftnl_set_set_u32(set, sys::NFTNL_SET_DATA_LEN as u16, len_of(values));
            }
        }
        if fields == [Field::Device] {
            // SAFETY: as above; libnftnl copies the bytes.
            unsafe {
                let (start, len) = (DEVICE_ORDER.as_ptr().cast::<c_void>(), DEVICE_ORDER.len());
                sys::nftnl_set_set_data(set, sys::NFTNL_SET_USERDATA as u16, start, len as u32);
            }
        }
        if has_intervals {
            flags |= INTERVAL | CONCAT;
            let lens: Vec<u8> = fields.iter().map(|field| field.size() as u8).collect();
            // SAFETY: as above. libnftnl copies the lengths, one byte for each field, into an array of
            // `NFT_REG32_COUNT` bytes; there are no more fields than that.
            unsafe {
                let start = lens.as_ptr().cast::<c_void>();
                let attribute = sys::NFTNL_SET_DESC_CONCAT as u16;
                sys::nftnl_set_set_data(set, attribute, start, lens.len() as u32);
            }
        }
        if flags != 0 {
            // SAFETY: as above.
            unsafe { sys::nftnl_set_set_u32(set, sys::NFTNL_SET_FLAGS as u16, flags) };
        }
        let (fields, values) = (fields.to_vec(), values.to_vec());
        Self { inner, fields, values, has_intervals, elements: 0 }
    }

    pub(crate) fn name(&self) -> &CStr {
        self.inner.get_name()
    }

    pub(crate) fn id(&self) -> u32 {
        self.inner.get_id()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Adds an element: for each field its first and its last value, in network byte order.
    ///
    /// # Panics
    /// If the values are not those of the fields, or differ in a set of single keys.
    pub fn add(&mut self, from: &[&[u8]], to: &[&[u8]]) {
        self.add_mapped(from, to, &[]);
    }

    /// Adds an element of a map: the same, with the values that it leads to.
    ///
    /// # Panics
    /// As [`Set::add`].
    pub fn add_mapped(&mut self, from: &[&[u8]], to: &[&[u8]], values: &[&[u8]]) {
        let (from, to) = (key(&self.fields, from), key(&self.fields, to));
        let values = key(&self.values, values);
        let single = !self.has_intervals;
        assert!(!single || from == to, "{from:?} to {to:?} in a set without intervals");
        // SAFETY: libnftnl allocates the element, copies keys and value into buffers of `NFT_DATA_VALUE_MAXLEN`
        // bytes (their length was checked when the set was made), and frees the element with the set.
        unsafe {
            let element = NonNull::new(sys::nftnl_set_elem_alloc()).expect("memory").as_ptr();
            let put = |attribute: u32, key: &[u8]| {
                let start = key.as_ptr().cast::<c_void>();
                sys::nftnl_set_elem_set(element, attribute as u16, start, key.len() as u32);
            };
            put(sys::NFTNL_SET_ELEM_KEY, &from);
            if !single {
                put(sys::NFTNL_SET_ELEM_KEY_END, &to);
            }
            if !values.is_empty() {
                put(sys::NFTNL_SET_ELEM_DATA, &values);
            }
            sys::nftnl_set_elem_add(self.inner.as_ptr().as_ptr(), element);
        }
        self.elements += 1;
    }

    /// Puts the set with its elements into a batch.
    pub fn put(&self, batch: &mut Batch) {
        batch.add(&self.inner, MsgType::Add);
        self.put_elements(batch, MsgType::Add);
    }

    /// Puts only the elements into a batch: the set of this name, which the kernel has, gets or loses them.
    pub fn put_elements(&self, batch: &mut Batch, change: MsgType) {
        if !self.is_empty() {
            batch.add_iter(self.inner.elems_iter(), change);
        }
    }
}

/// The type of a concatenation, as `nft` packs it.
fn kind_of(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |kind, field| (kind << TYPE_BITS) | field.kind())
}

/// The bytes of a concatenation: each field is filled up to whole registers, if there are several.
fn len_of(fields: &[Field]) -> u32 {
    let len: usize = match fields {
        [field] => field.size(),
        fields => fields.iter().map(|field| field.size().next_multiple_of(4)).sum(),
    };
    assert!(len <= DATA_LEN_MAX, "a key of {len} bytes");
    len as u32
}

/// The values one after the other, each filled up to whole registers.
fn key(fields: &[Field], values: &[&[u8]]) -> Vec<u8> {
    assert_eq!(values.len(), fields.len(), "values of a key");
    let mut key = Vec::with_capacity(DATA_LEN_MAX);
    for (value, field) in values.iter().zip(fields) {
        assert_eq!(value.len(), field.size(), "{field:?}");
        key.extend_from_slice(value);
        if fields.len() > 1 {
            key.resize(key.len().next_multiple_of(4), 0);
        }
    }
    key
}

impl std::fmt::Debug for Set<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("name", &self.name()).field("fields", &self.fields).finish()
    }
}
