//! Records in the JSON form that the host reads.

use super::json::Value;
use super::put::{open, put, put_list, put_number, put_pairs, put_raw, say};

/// An empty record of a name.
pub fn record(name: &str) -> Record {
    let mut r = Record { fields: "{".into(), instances: String::new(), versions: String::new() };
    put(&mut r.fields, "name", name);
    r
}

/// A record that is being made up. What is given twice the host refuses.
pub struct Record {
    fields: String,
    instances: String,
    versions: String,
}

impl Record {
    /// Adds an instance. It ends where what this returns is dropped. With the id "" its
    /// address and port are its id.
    pub fn instance(&mut self, id: &str) -> Instance<'_> {
        open(&mut self.instances);
        put(&mut self.instances, "id", id);
        Instance { out: &mut self.instances, endpoints: String::new() }
    }

    /// Adds a version. It ends where what this returns is dropped.
    pub fn version(&mut self, version: &str) -> Version<'_> {
        open(&mut self.versions);
        put(&mut self.versions, "version", version);
        Version { out: &mut self.versions }
    }

    pub fn metadata<K: AsRef<str>, V: AsRef<str>>(&mut self, pairs: impl IntoIterator<Item = (K, V)>) -> &mut Record {
        put_pairs(&mut self.fields, "metadata", pairs);
        self
    }

    pub fn tags<S: AsRef<str>>(&mut self, tags: impl IntoIterator<Item = S>) -> &mut Record {
        put_list(&mut self.fields, "tags", tags);
        self
    }

    /// How long the record is fresh.
    pub fn ttl_ms(&mut self, ms: u64) -> &mut Record {
        put_number(&mut self.fields, "ttl_ms", ms);
        self
    }

    pub fn stale_while_revalidate_ms(&mut self, ms: u64) -> &mut Record {
        put_number(&mut self.fields, "stale_while_revalidate_ms", ms);
        self
    }

    pub fn stale_if_error_ms(&mut self, ms: u64) -> &mut Record {
        put_number(&mut self.fields, "stale_if_error_ms", ms);
        self
    }

    pub fn no_store(&mut self) -> &mut Record {
        put_raw(&mut self.fields, "no_store", "true");
        self
    }

    /// What the registry itself says of the name.
    pub fn document(&mut self, json: Value) -> &mut Record {
        put_raw(&mut self.fields, "document", json.raw());
        self
    }

    /// The record's JSON.
    pub fn json(self) -> String {
        let mut out = self.fields;
        if !self.versions.is_empty() {
            put_raw(&mut out, "versions", "[");
            out.push_str(&self.versions);
            out.push(']');
        }
        put_raw(&mut out, "instances", "[");
        out.reserve_exact(self.instances.len() + 2);
        out.push_str(&self.instances);
        out.push_str("]}");
        out
    }
}

/// An instance of a record. A text that is empty is left out.
pub struct Instance<'a> {
    out: &'a mut String,
    endpoints: String,
}

impl Instance<'_> {
    /// A host's name or an IP address, without a port or brackets.
    pub fn address(&mut self, address: &str) -> &mut Self {
        self.said("address", address)
    }

    pub fn port(&mut self, port: u16) -> &mut Self {
        put_number(self.out, "port", port as u64);
        self
    }

    /// tcp, udp, http, https, grpc, unix …
    pub fn protocol(&mut self, protocol: &str) -> &mut Self {
        self.said("protocol", protocol)
    }

    pub fn tls(&mut self, tls: bool) -> &mut Self {
        put_raw(self.out, "tls", if tls { "true" } else { "false" });
        self
    }

    pub fn url(&mut self, url: &str) -> &mut Self {
        self.said("url", url)
    }

    /// unknown, passing, warning, draining, critical or maintenance.
    pub fn health(&mut self, health: &str) -> &mut Self {
        self.said("health", health)
    }

    /// Its share of load, 1.0 being normal, and 0 none. It is kept in hundredths, and
    /// one that is not 0 stays so. The host refuses what is negative or no number.
    pub fn weight(&mut self, weight: f64) -> &mut Self {
        if !(weight >= 0.0) {
            put_raw(self.out, "weight", "-1");
            return self;
        }
        let hundredths = ((weight * 100.0 + 0.5) as u64).max((weight > 0.0) as u64);
        put_number(self.out, "weight", hundredths / 100);
        self.out.push('.');
        self.out.push((b'0' + (hundredths / 10 % 10) as u8) as char);
        self.out.push((b'0' + (hundredths % 10) as u8) as char);
        self
    }

    /// Lower first.
    pub fn priority(&mut self, priority: u16) -> &mut Self {
        put_number(self.out, "priority", priority as u64);
        self
    }

    pub fn version(&mut self, version: &str) -> &mut Self {
        self.said("version", version)
    }

    pub fn node(&mut self, node: &str) -> &mut Self {
        self.said("node", node)
    }

    pub fn region(&mut self, region: &str) -> &mut Self {
        self.said("region", region)
    }

    pub fn zone(&mut self, zone: &str) -> &mut Self {
        self.said("zone", zone)
    }

    pub fn tags<S: AsRef<str>>(&mut self, tags: impl IntoIterator<Item = S>) -> &mut Self {
        put_list(self.out, "tags", tags);
        self
    }

    pub fn metadata<K: AsRef<str>, V: AsRef<str>>(&mut self, pairs: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        put_pairs(self.out, "metadata", pairs);
        self
    }

    /// When it was registered, by RFC 3339: see rfc3339.
    pub fn registered(&mut self, time: &str) -> &mut Self {
        self.said("registered", time)
    }

    /// Adds an endpoint, for instances that can be reached in several ways. It ends where
    /// what this returns is dropped. One that says no other than the instance's own
    /// address, port, protocol and URL do is that one, with a name.
    pub fn endpoint(&mut self, name: &str) -> Endpoint<'_> {
        open(&mut self.endpoints);
        put(&mut self.endpoints, "name", name);
        Endpoint { out: &mut self.endpoints }
    }

    fn said(&mut self, name: &str, value: &str) -> &mut Self {
        say(self.out, name, value);
        self
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        if !self.endpoints.is_empty() {
            put_raw(self.out, "endpoints", "[");
            self.out.push_str(&self.endpoints);
            self.out.push(']');
        }
        self.out.push('}');
    }
}

/// One more way to reach an instance. One without an address and a URL has the
/// instance's address.
pub struct Endpoint<'a> {
    out: &'a mut String,
}

impl Endpoint<'_> {
    pub fn address(&mut self, address: &str) -> &mut Self {
        say(self.out, "address", address);
        self
    }

    pub fn port(&mut self, port: u16) -> &mut Self {
        put_number(self.out, "port", port as u64);
        self
    }

    pub fn protocol(&mut self, protocol: &str) -> &mut Self {
        say(self.out, "protocol", protocol);
        self
    }

    pub fn tls(&mut self, tls: bool) -> &mut Self {
        put_raw(self.out, "tls", if tls { "true" } else { "false" });
        self
    }

    pub fn url(&mut self, url: &str) -> &mut Self {
        say(self.out, "url", url);
        self
    }
}

impl Drop for Endpoint<'_> {
    fn drop(&mut self) {
        self.out.push('}');
    }
}

/// A version of what the record describes.
pub struct Version<'a> {
    out: &'a mut String,
}

impl Version<'_> {
    /// active, deprecated or deleted.
    pub fn status(&mut self, status: &str) -> &mut Self {
        put(self.out, "status", status);
        self
    }

    pub fn labels<S: AsRef<str>>(&mut self, labels: impl IntoIterator<Item = S>) -> &mut Self {
        put_list(self.out, "labels", labels);
        self
    }

    pub fn metadata<K: AsRef<str>, V: AsRef<str>>(&mut self, pairs: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        put_pairs(self.out, "metadata", pairs);
        self
    }

    /// By RFC 3339: see rfc3339.
    pub fn updated(&mut self, time: &str) -> &mut Self {
        put(self.out, "updated", time);
        self
    }

    pub fn document(&mut self, json: Value) -> &mut Self {
        put_raw(self.out, "document", json.raw());
        self
    }
}

impl Drop for Version<'_> {
    fn drop(&mut self) {
        self.out.push('}');
    }
}

/// A time in milliseconds since 1970 UTC, by RFC 3339.
pub fn rfc3339(ms: u64) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Years begin in March here, so that a leap day is the last of its year; 400 of
    // them have 146 097 days.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (era * 400 + year, month + 3) } else { (era * 400 + year + 1, month - 9) };
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", year, month, date, hour, minute, second, ms % 1000)
}
