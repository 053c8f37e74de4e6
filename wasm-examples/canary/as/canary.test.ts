import { Request, Sample, equal, start } from "../../../pdk/as/testing";
import "./canary";

function request(name: string, header: string | null, user: string | null, address: string | null): string {
  const stable = new Sample("stable");
  const canary = new Sample("canary");
  stable.meta = [null];
  canary.meta = ["true"];
  return new Request(name, [stable, canary]).attribute(header).attribute(user).attribute(address).decide();
}

export function testTheHeaderDecides(): void {
  equal("start", start(["/percent", "100"]).toString(), "true");
  equal("always", request("shop", "always", null, null), "1");
  equal("never", request("shop", "never", null, "192.0.2.1"), "0");
}

export function testAShareDecidesWithoutIt(): void {
  equal("start", start(["/percent", "12.5", "/by", "user"]).toString(), "true");
  let canaries = 0;
  for (let i = 0; i < 4000; i++) {
    const user = "user" + i.toString();
    const first = request("shop", null, user, null);
    equal("the same again", request("shop", null, user, null), first);
    if (first == "1") canaries++;
  }
  equal("between 11 and 14 percent", (canaries > 440 && canaries < 560).toString(), "true");
}

export function testAConfigurationThatIsWrong(): void {
  equal("percent", start(["/percent", "1e1"]).toString(), "false");
  equal("by", start(["/by", "cookie"]).toString(), "false");
}
