package plugins

// The ABI, version 1.0: docs/plugin-abi.md.
const (
	abiMajor = 1
	abiMinor = 0

	moduleHost = "edgecache_v1"
	moduleWASI = "wasi_snapshot_preview1"

	exportMarker = "edgecache_abi_v1"
	exportABI    = "ec_abi"
	exportInit   = "ec_init"
	exportArena  = "ec_arena"
	exportFilter = "ec_filter"
	exportIdle   = "ec_idle"
	exportMemory = "memory"
)

// The frame: offsets from the arena's start.
const (
	frameMagic     = 0x31464345 // "ECF1"
	headerSize     = 64
	maxSlots       = 32
	slotSize       = 8
	entryOff       = headerSize + maxSlots*slotSize
	instanceStride = 48

	flagUnchanged = 1 << 0 // the entry part is what this instance got last
	flagTooLong   = 1 << 4 // an attribute was too long, and is absent

	slotAbsent  = 0xffffffff // as offset
	slotNumeric = 0xfffffffe // as length: the offset is the value
)

// Flags of an instance in the frame.
const instanceTLS = 1

// What a verdict says.
const (
	actPass   = 0
	actMask32 = 1
	actMask   = 2
	actOrder  = 3
	actBody   = 4
	actDeny   = 5
	actError  = 255

	verdictCacheable = 1
	verdictFinal     = 2
)

// Codes that guests and host functions return.
const (
	codeOK       = 0
	codeNotFound = -1
	codeInvalid  = -5
)

// Limits that no operator changes.
const (
	maxBinary    = 16 << 20
	inCap        = 64 << 10 // of the frame
	outCap       = 16 << 10 // of what a guest writes
	arenaSize    = inCap + outCap
	arenaLeast   = 1024 // addresses below are not an arena's: null pointers lead there
	maxInstances = 1024 // in a frame
	maxAttr      = 4 << 10
	maxAddr      = 64 // of an IP address as text
	maxReason    = 1 << 10
	maxErrorText = 4 << 10
	maxLogLine   = 1 << 10
	logRate      = 100 // lines a second and plugin
)

// Fuel, in the units of package fuel.
const (
	initFuel     = 200_000_000 // of start, _initialize and ec_init together
	callFuel     = 150_000     // of a filter's call, and
	instanceFuel = 100         // for each instance in the frame
	mostFuel     = 2_000_000   // whatever a manifest says
	logFuel      = 8           // and a unit for each byte
)
