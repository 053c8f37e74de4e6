// What a record is written of.
import { Writer } from "./bytes";

/** Items of a record that are written one after another. */
export class Items {
  count: u32 = 0;
  list: Writer = new Writer(256);
  metadata: Writer = new Writer(64);
  tags: Writer = new Writer(64);
  endpoints: Writer = new Writer(64);
  ways: u32 = 0; // endpoints of all
  private open: bool = false;

  constructor(private tagsName: string) {}

  begin(field: string, value: string): u32 {
    this.close();
    if (this.count > 0) this.list.byte(0x2c);
    this.list.add('{"' + field + '":');
    this.list.quote(value);
    this.open = true;
    return ++this.count;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    if (this.endpoints.size > 0) wrap(this.list, ',"endpoints":[', this.endpoints, "}]");
    finish(this.list, this.metadata, this.tagsName, this.tags);
    this.list.byte(0x7d);
  }
}

/** Appends metadata and tags, and makes them empty. */
export function finish(to: Writer, metadata: Writer, tagsName: string, tags: Writer): void {
  if (metadata.size > 0) wrap(to, ',"metadata":{', metadata, "}");
  if (tags.size > 0) wrap(to, ',"' + tagsName + '":[', tags, "]");
}

export function wrap(to: Writer, open: string, what: Writer, close: string): void {
  to.add(open);
  to.write(what);
  to.add(close);
  what.clear();
}

export function pair<T>(to: Writer, key: string, value: T): void {
  if (to.size > 0) to.byte(0x2c);
  to.quote(key);
  to.byte(0x3a);
  to.quote<T>(value);
}

export function element<T>(to: Writer, value: T): void {
  if (to.size > 0) to.byte(0x2c);
  to.quote<T>(value);
}
