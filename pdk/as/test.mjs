// Runs the tests that a module in AssemblyScript exports, each in a module of its own.
import { readFile } from "node:fs/promises";

const module = await WebAssembly.compile(await readFile(process.argv[2]));
const tests = WebAssembly.Module.exports(module).filter((e) => e.name.startsWith("test"));
if (tests.length === 0) throw new Error("no tests: functions whose names begin with test expected");
let failed = 0;

for (const { name } of tests) {
  const config = new Map();
  let said = "";
  let memory;
  const utf8 = (at, length) => new TextDecoder().decode(new Uint8Array(memory.buffer, at, length));
  // A string of AssemblyScript: UTF-16, after its length in bytes.
  const utf16 = (at) => new TextDecoder("utf-16le").decode(new Uint8Array(memory.buffer, at, new Uint32Array(memory.buffer)[(at - 4) >> 2]));
  const instance = await WebAssembly.instantiate(module, {
    edgecache_v1: {
      log: (level, at, length) => console.log(utf8(at, length)),
      error_set: (at, length) => void (said = utf8(at, length)),
      config_get: (key, keyLength, buffer, capacity) => {
        const value = config.get(utf8(key, keyLength));
        if (value === undefined) return -1;
        const bytes = new TextEncoder().encode(value);
        if (bytes.length <= capacity) new Uint8Array(memory.buffer).set(bytes, buffer);
        return bytes.length;
      },
    },
    edgecache_test: {
      config: (pointer, json) => void (pointer ? config.set(utf16(pointer), utf16(json)) : config.clear()),
    },
  });
  memory = instance.exports.memory;
  try {
    instance.exports._initialize();
    instance.exports[name]();
  } catch (e) {
    failed++;
    console.error(`${name}: ${said || e}`);
  }
}
console.log(`${tests.length - failed} of ${tests.length} tests passed`);
process.exitCode = failed ? 1 : 0;
