package edgecache

// What a filter registered.
var (
	starts  func() error
	decides func(*Call) Verdict
)

// Filter registers a filter. start runs once for each instance of the module:
// its error says why the configuration does not do; start may be nil. decide
// runs for each request. Filter is called in an init function.
func Filter(start func() error, decide func(*Call) Verdict) { starts, decides = start, decide }

// Level is that of a line in the host's log.
type Level int32

// Levels, least first.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Log writes a line to the host's log, which takes some 100 a second of a plugin.
func Log(level Level, text string) { hostLog(level, text) }

// Config returns the configuration at a JSON pointer (RFC 6901), "" being all of
// it: a string's text, of anything else its JSON. It allocates: it is for start.
func Config(pointer string) (value string, ok bool) {
	buffer := make([]byte, 256)
	n := hostConfig(pointer, buffer)
	if n > len(buffer) {
		buffer = make([]byte, n)
		n = hostConfig(pointer, buffer)
	}
	if n < 0 {
		return "", false
	}
	return string(buffer[:n]), true
}

// start is what ec_init does.
func start() int32 {
	if decides == nil {
		hostError("no filter: edgecache.Filter was not called in an init function")
		return 1
	}
	if starts == nil {
		return 0
	}
	if err := starts(); err != nil {
		hostError(err.Error())
		return 1
	}
	return 0
}
