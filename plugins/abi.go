package plugins

import "github.com/edgecache/edgecache/plugins/fuel"

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
	exportLookup = "ec_lookup"
	exportList   = "ec_list"
	exportPoll   = "ec_poll"
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
	verdictFirst     = 4 // of a mask: what it does not have follows
)

// Codes that guests and host functions return.
const (
	codeOK          = 0
	codeNotModified = 1
	codeNotFound    = -1
	codeUnavailable = -2
	codeTimeout     = -3
	codeDenied      = -4
	codeInvalid     = -5
	codeTooLarge    = -6
	codeInternal    = -7
	codeUnsupported = -8
	codeRateLimited = -9
	codeClosed      = -10
)

// codeNames are what codes are called in errors.
var codeNames = map[int32]string{
	codeNotFound: "NOT_FOUND", codeUnavailable: "UNAVAILABLE", codeTimeout: "TIMEOUT", codeDenied: "DENIED", codeInvalid: "INVALID",
	codeTooLarge: "TOO_LARGE", codeInternal: "INTERNAL", codeUnsupported: "UNSUPPORTED", codeRateLimited: "RATE_LIMITED", codeClosed: "CLOSED",
}

// Slots of input_get, kinds of output_set, operations of emit.
const (
	inputName    = 0
	inputVersion = 2
	inputCursor  = 3

	outputRecord  = 0
	outputNames   = 1
	outputCursor  = 2
	outputVersion = 3

	emitUpsert     = 0
	emitDelete     = 1
	emitInvalidate = 2
	emitAnew       = 3
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
	maxAddr      = 64                          // of an IP address as text
	maxEntry     = inCap - maxAttr - 2*maxAddr // of a record in a frame, with what is before it
	maxReason    = 1 << 10
	maxErrorText = 4 << 10
	maxLogLine   = 1 << 10
	logRate      = 100 // lines a second and plugin

	maxOutput    = 4 << 20  // of a record
	maxNames     = 16 << 20 // of a list
	maxPages     = 10_000   // of a list
	maxEmitted   = 64 << 20 // by a poll, each instance and version being at least
	leastCharged = 128
	maxCursor    = 64 << 10 // likewise of a version
	maxHead      = 64 << 10 // of a request or answer
	maxHeaders   = 32       // of a request
	maxSent      = 1 << 20  // of a request's body
	maxReceived  = 8 << 20  // of an answer's body, decompressed
	maxHandles   = 4        // open at a time, in a call
	maxRequests  = 16       // in a call
	maxPolled    = 256      // likewise, in a poll
	maxKey       = 256      // of kv
	maxValue     = 64 << 10
	maxKept      = 1 << 20 // keys and values together
	maxKeys      = 10_000
)

// Fuel, in the units of package fuel.
const (
	initFuel     = 200_000_000 // of start, _initialize and ec_init together
	callFuel     = 150_000     // of a filter's call, and
	instanceFuel = 100         // for each instance in the frame
	mostFuel     = 2_000_000   // whatever a manifest says
	logFuel      = 8           // and a unit for each byte

	adapterFuel     = 500_000_000   // of an adapter's call
	mostAdapterFuel = 2_000_000_000 // whatever a manifest says
	sliceFuel       = 200_000       // of it, between two calls of the host: nothing waits for more
)

// importFuel is the import that gives adapters the next slice of their fuel.
var importFuel = fuel.Import{Module: moduleHost, Name: "fuel_left"}
