import { Request, Sample, equal, start } from "./pdk/as/testing";
import "./{{name}}";

export function testOnlyTheTierThatIsAskedFor(): void {
  equal("start", start([]).toString(), "true");
  const gold = new Sample("w1");
  const silver = new Sample("w2");
  const none = new Sample("w3");
  gold.meta = ["gold"];
  silver.meta = ["silver"];
  none.meta = [null];
  equal("gold", new Request("web", [gold, silver, none]).attribute("gold").decide(), "0");
}
