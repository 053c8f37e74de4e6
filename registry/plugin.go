package registry

// A PluginStatus is what is known of a plugin.
type PluginStatus struct {
	Name       string            `json:"name"`   // in the configuration
	Kind       string            `json:"kind"`   // filter, adapter
	Plugin     string            `json:"plugin"` // name and version of its manifest
	SHA256     string            `json:"sha256"`
	ABI        string            `json:"abi"`
	Generation int               `json:"generation"`
	State      string            `json:"state"`           // ok, or failed: a change was refused, and the old generation runs
	Error      string            `json:"error,omitempty"` // why it was refused
	Breaker    string            `json:"breaker"`         // closed, open, half-open
	Calls      uint64            `json:"calls"`           // of guests
	Memoized   uint64            `json:"memoized"`        // requests answered by a verdict that was kept
	Skipped    uint64            `json:"skipped"`         // requests while the breaker was open
	Failures   map[string]uint64 `json:"failures"`        // by kind
	Recycled   uint64            `json:"recycled"`        // instances ended because their memory grew
	LogDropped uint64            `json:"log_dropped"`     // lines beyond the rate
	LatencyUS  float64           `json:"latency_us"`      // of a guest's call, the mean of some; 0: none yet
	Instances  int64             `json:"instances"`
	Memory     uint64            `json:"memory"` // bytes an instance may have

	// Of adapters.
	Requests uint64 `json:"requests,omitempty"` // by HTTP
	Denied   uint64 `json:"denied,omitempty"`   // likewise: not made, for the operator does not allow them
	Kept     uint64 `json:"kept,omitempty"`     // bytes that it keeps on this node
}
