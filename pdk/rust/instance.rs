//! Instances in a call.

use super::{Call, ABSENT};

/// An instance's health, as its registry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    Unknown,
    Passing,
    Warning,
    Draining,
    Critical,
    Maintenance,
}

#[repr(C)]
pub(super) struct Row {
    pub id_hash: u64,
    pub zone_hash: u32,
    pub weight: u32,
    pub address: u32,
    pub address_length: u16,
    pub port: u16,
    pub health: u8,
    pub flags: u8,
    pub version_length: u16,
    pub meta: u32,
    pub zone: u32,
    pub zone_length: u16,
    pub id_length: u16,
    pub id: u32,
    pub version: u32,
}

/// One of the instances that the answer would hold. Strings that it does not have
/// are empty.
#[derive(Clone, Copy)]
pub struct Instance<'a> {
    pub(super) call: &'a Call,
    pub(super) row: &'a Row,
}

/// Where a text lies: of the texts of a record, and the client's zone with them, two
/// are the same if they have one place, and only then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u64);

impl Place {
    pub(super) fn new(off: u32, length: u64) -> Place {
        Place(off as u64 | length << 32)
    }
}

impl<'a> Instance<'a> {
    /// FNV-1a, of 64 bits, of the id.
    pub fn id_hash(&self) -> u64 {
        self.row.id_hash
    }

    /// FNV-1a, of 32 bits, of the zone. Two zones may share it.
    pub fn zone_hash(&self) -> u32 {
        self.row.zone_hash
    }

    /// The share of load it wants, relative to others.
    pub fn weight(&self) -> u32 {
        self.row.weight
    }

    /// The port of the main endpoint.
    pub fn port(&self) -> u16 {
        self.row.port
    }

    /// Its health.
    pub fn health(&self) -> Health {
        match self.row.health {
            1 => Health::Passing,
            2 => Health::Warning,
            3 => Health::Draining,
            4 => Health::Critical,
            5 => Health::Maintenance,
            _ => Health::Unknown,
        }
    }

    /// Whether the main endpoint speaks TLS.
    pub fn tls(&self) -> bool {
        self.row.flags & 1 != 0
    }

    /// The address of the main endpoint: a host's name or an IP address.
    pub fn address(&self) -> &'a [u8] {
        self.call.text(self.row.address, self.row.address_length as u32)
    }

    /// Its id, which no other instance of the service has.
    pub fn id(&self) -> &'a [u8] {
        self.call.text(self.row.id, self.row.id_length as u32)
    }

    /// Its zone.
    pub fn zone(&self) -> &'a [u8] {
        self.call.text(self.row.zone, self.row.zone_length as u32)
    }

    /// Where its zone lies.
    pub fn zone_place(&self) -> Place {
        // One load, of what begins at zone; what follows its length is cut off.
        let word = unsafe { (self.row as *const Row as *const u64).add(4).read() };
        Place(word & 0xffff_ffff_ffff)
    }

    /// Its version.
    pub fn version(&self) -> &'a [u8] {
        self.call.text(self.row.version, self.row.version_length as u32)
    }

    /// A value of its metadata; the number is its key's place in the manifest's
    /// needs.meta. None: it does not have the key.
    pub fn meta(&self, key: usize) -> Option<&'a [u8]> {
        if self.row.meta == 0 {
            return None;
        }
        let s = self.call.slot(self.row.meta, key);
        if s.off == ABSENT {
            return None;
        }
        Some(self.call.text(s.off, s.length))
    }
}
