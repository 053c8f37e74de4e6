import { Request, Sample, equal, start } from "../../../pdk/as/testing";
import "./zone";

function request(zone: string | null): Request {
  const r = new Request("web", [new Sample("w1", "eu-1a"), new Sample("w2", "eu-1b"), new Sample("w3"), new Sample("w4", "eu-1b")]);
  return r.attribute(zone);
}

export function testInstancesOfTheClientsZoneAreFirst(): void {
  start([]);
  equal("eu-1b", request("eu-1b").decide(), "1 3 0 2");
  equal("us-1a", request("us-1a").decide(), "0 1 2 3");
}

export function testStrictDropsTheOthers(): void {
  start(["/strict", "true"]);
  equal("eu-1b", request("eu-1b").decide(), "1 3");
  equal("no zone", request(null).decide(), "0 1 2 3");
}
