// Ways to reach an instance.
import { Writer } from "./bytes";
import { Items } from "./items";

/** One more way to reach an instance, until the next one begins. One without an address
 *  and a URL has the instance's address. */
export class Endpoint {
  constructor(
    private items: Items,
    private place: u32,
    private way: u32,
  ) {}

  address<T>(value: T): Endpoint {
    this.field("address").quote<T>(value);
    return this;
  }

  port(value: u32): Endpoint {
    this.field("port").number(value);
    return this;
  }

  protocol<T>(value: T): Endpoint {
    this.field("protocol").quote<T>(value);
    return this;
  }

  tls(value: bool): Endpoint {
    this.field("tls").add(value ? "true" : "false");
    return this;
  }

  url<T>(value: T): Endpoint {
    this.field("url").quote<T>(value);
    return this;
  }

  private field(name: string): Writer {
    if (this.place != this.items.count || this.way != this.items.ways) throw new Error("an instance's endpoint was changed after the next one began");
    this.items.endpoints.add(',"' + name + '":');
    return this.items.endpoints;
  }
}
