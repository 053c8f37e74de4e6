// What an adapter answers with: a record, which writes itself as JSON. Its functions
// are called like the fields of the API's JSON, and what is not called is not there.
//
//   const web = new Record("web");
//   web.instance("a").address("10.0.0.1").port(80).metadata("rack", "7");
//   web.ttlMs(30000);
//   return found(web);
//
// The host looks at it all, and says which field is wrong. Where a value is a T, it is
// a string or a Text.
import { Health, Text } from "./edgecache";
import { Writer } from "./bytes";
import { Endpoint } from "./endpoint";
import { Items, element, finish, pair, wrap } from "./items";

const LAST: i64 = 253402300799999; // that RFC 3339 can write
const HEALTHS: StaticArray<string> = ["unknown", "passing", "warning", "draining", "critical", "maintenance"];

/** Unix ms as a string of JSON; null where it is no time. */
function timeOf(to: Writer, ms: i64): void {
  if (ms > 0 && ms <= LAST) to.quote(new Date(ms).toISOString());
  else to.add("null");
}

/** What an instance and a version have in common. */
abstract class Item {
  constructor(
    protected items: Items,
    protected place: u32,
  ) {}

  /** Where a field's value goes. */
  protected field(name: string): Writer {
    this.check();
    this.items.list.add(',"' + name + '":');
    return this.items.list;
  }

  protected check(): void {
    if (this.place != this.items.count) throw new Error("a record's instance or version was changed after the next one began");
  }
}

/** An instance of a record, until the next one begins. */
export class Instance extends Item {
  /** A host's name or an IP address. */
  address<T>(value: T): Instance {
    this.field("address").quote<T>(value);
    return this;
  }

  port(value: u32): Instance {
    this.field("port").number(value);
    return this;
  }

  /** tcp, udp, http, https, grpc, unix … */
  protocol<T>(value: T): Instance {
    this.field("protocol").quote<T>(value);
    return this;
  }

  tls(value: bool): Instance {
    this.field("tls").add(value ? "true" : "false");
    return this;
  }

  url<T>(value: T): Instance {
    this.field("url").quote<T>(value);
    return this;
  }

  health(value: Health): Instance {
    this.field("health").quote(HEALTHS[value]);
    return this;
  }

  /** The share of load that it wants, 1 being usual. It has two decimals. */
  weight(value: f64): Instance {
    const hundredths = <i64>Math.round(value * 100);
    const w = this.field("weight");
    if (!(value >= 0 && value < 1e9)) return this.wrong(w, value);
    w.number(hundredths / 100);
    w.byte(0x2e);
    w.byte(0x30 + <u32>((hundredths / 10) % 10));
    w.byte(0x30 + <u32>(hundredths % 10));
    return this;
  }

  /** Lower comes first. */
  priority(value: u32): Instance {
    this.field("priority").number(value);
    return this;
  }

  version<T>(value: T): Instance {
    this.field("version").quote<T>(value);
    return this;
  }

  node<T>(value: T): Instance {
    this.field("node").quote<T>(value);
    return this;
  }

  region<T>(value: T): Instance {
    this.field("region").quote<T>(value);
    return this;
  }

  zone<T>(value: T): Instance {
    this.field("zone").quote<T>(value);
    return this;
  }

  /** Adds a tag. */
  tag<T>(value: T): Instance {
    this.check();
    element<T>(this.items.tags, value);
    return this;
  }

  tags(values: string[]): Instance {
    for (let i = 0; i < values.length; i++) this.tag(values[i]);
    return this;
  }

  /** Adds a pair; no key comes twice. */
  metadata<T>(key: string, value: T): Instance {
    this.check();
    pair<T>(this.items.metadata, key, value);
    return this;
  }

  /** When it was registered, in Unix ms. */
  registered(ms: i64): Instance {
    timeOf(this.field("registered"), ms);
    return this;
  }

  /** Adds an endpoint, for instances that can be reached in several ways. One that says
   *  no other than the instance's own address, port, protocol and URL do is that one,
   *  with a name. */
  endpoint(name: string): Endpoint {
    this.check();
    const w = this.items.endpoints;
    w.add(w.size > 0 ? '},{"name":' : '{"name":');
    w.quote(name);
    return new Endpoint(this.items, this.place, ++this.items.ways);
  }

  private wrong(w: Writer, value: f64): Instance {
    w.quote(value.toString()); // the host says that this is no number
    return this;
  }
}

/** A version of a record, until the next one begins. */
export class Version extends Item {
  /** active, deprecated or deleted. */
  status<T>(value: T): Version {
    this.field("status").quote<T>(value);
    return this;
  }

  /** Adds a label. One version of a record may be latest. */
  label<T>(value: T): Version {
    this.check();
    element<T>(this.items.tags, value);
    return this;
  }

  /** Adds a pair; no key comes twice. */
  metadata<T>(key: string, value: T): Version {
    this.check();
    pair<T>(this.items.metadata, key, value);
    return this;
  }

  /** When it was changed, in Unix ms. */
  updated(ms: i64): Version {
    timeOf(this.field("updated"), ms);
    return this;
  }

  /** JSON, as it stands. */
  document(json: Writer): Version {
    this.field("document").write(json);
    return this;
  }
}

/** A record that is made. */
export class Record {
  private head: Writer = new Writer(256);
  private pairs: Writer = new Writer(64);
  private keys: Writer = new Writer(64);
  private ofInstances: Items = new Items("tags");
  private ofVersions: Items = new Items("labels");

  constructor(name: string) {
    this.head.add('{"name":');
    this.head.quote(name);
  }

  /** Begins an instance; none of the record's others has its id. */
  instance(id: string): Instance {
    return new Instance(this.ofInstances, this.ofInstances.begin("id", id));
  }

  /** Begins a version. The newest comes first. */
  version(version: string): Version {
    return new Version(this.ofVersions, this.ofVersions.begin("version", version));
  }

  /** Adds a pair; no key comes twice. */
  metadata<T>(key: string, value: T): Record {
    pair<T>(this.pairs, key, value);
    return this;
  }

  /** Adds a tag, by which the record can be invalidated. */
  tag<T>(value: T): Record {
    element<T>(this.keys, value);
    return this;
  }

  tags(values: string[]): Record {
    for (let i = 0; i < values.length; i++) this.tag(values[i]);
    return this;
  }

  /** How long it is fresh. */
  ttlMs(ms: i64): Record {
    return this.number("ttl_ms", ms);
  }

  staleWhileRevalidateMs(ms: i64): Record {
    return this.number("stale_while_revalidate_ms", ms);
  }

  staleIfErrorMs(ms: i64): Record {
    return this.number("stale_if_error_ms", ms);
  }

  /** Asks that it is not kept. */
  noStore(value: bool = true): Record {
    this.head.add(value ? ',"no_store":true' : ',"no_store":false');
    return this;
  }

  /** JSON, as it stands. */
  document(json: Writer): Record {
    this.head.add(',"document":');
    this.head.write(json);
    return this;
  }

  /** All of it, as JSON. It is finished then, and may be asked for once. */
  json(): Writer {
    const w = this.head;
    this.ofInstances.close();
    this.ofVersions.close();
    finish(w, this.pairs, "tags", this.keys);
    wrap(w, ',"instances":[', this.ofInstances.list, "]");
    if (this.ofVersions.count > 0) wrap(w, ',"versions":[', this.ofVersions.list, "]");
    w.byte(0x7d);
    return w;
  }

  private number(field: string, n: i64): Record {
    this.head.add(',"' + field + '":');
    this.head.number(n);
    return this;
  }
}
