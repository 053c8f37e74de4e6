package registry

import "time"

// The types below are what a node says of itself on its admin port; their
// JSON names are the public interface.

// Level says when an invalidation counts as confirmed.
type Level string

// The levels: fsynced here; on a majority's disks; applied and logged by all.
const (
	LevelLocal  Level = "local"
	LevelQuorum Level = "quorum"
	LevelAll    Level = "all"
)

// Unsynced says what a node does that may lack invalidations.
type Unsynced string

// The policies.
const (
	UnsyncedServeStale Unsynced = "serve-stale" // answer, and say that it may be stale
	UnsyncedRevalidate Unsynced = "revalidate"  // ask the registry first
	UnsyncedRefuse     Unsynced = "refuse"      // do not answer
)

// A Confirmation says who has an invalidation.
type Confirmation struct {
	ID        string   `json:"id"`
	Members   int      `json:"members"`
	Confirmed []string `json:"confirmed"`
	Fenced    []string `json:"fenced"`
	Pending   []string `json:"pending"`
	ElapsedMS float64  `json:"elapsed_ms"`
}

// A Report tells how a load or refresh went, service by service.
type Report struct {
	ID        string       `json:"id"`
	Started   time.Time    `json:"started"`
	ElapsedMS float64      `json:"elapsed_ms"`
	Running   bool         `json:"running"`
	Services  []ReportItem `json:"services"`
}

// A ReportItem is one service of a Report. Result is changed, unchanged,
// absent, failed or kept (empty or gone, but not confirmed yet).
type ReportItem struct {
	Name      string  `json:"name"`
	Registry  string  `json:"registry"`
	Result    string  `json:"result"`
	ElapsedMS float64 `json:"elapsed_ms"`
	Retries   int     `json:"retries"`
	Error     string  `json:"error,omitempty"`
}

// A RegistryStatus is one registry as this node sees it.
type RegistryStatus struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	Kind      Kind        `json:"kind"`
	State     string      `json:"state"`   // up, down, disabled
	Breaker   string      `json:"breaker"` // closed, open, half-open
	Watch     WatchStatus `json:"watch"`
	Services  int         `json:"services"` // entries in memory
	LastOK    *time.Time  `json:"last_ok,omitempty"`
	LastError string      `json:"last_error,omitempty"`
	NextTry   *time.Time  `json:"next_try,omitempty"`
	Calls     uint64      `json:"calls"`
	Failures  uint64      `json:"failures"`
}

// A WatchStatus says how many upstream watches are live, and which node owns
// them.
type WatchStatus struct {
	Live  int    `json:"live"`
	Owner string `json:"owner"`
}

// An EntriesQuery asks for a page of cached entries.
type EntriesQuery struct {
	Registry, Prefix, State string // "": any
	After                   Key    // entries above this one, by name and then registry
	Limit                   int
}

// An EntryRow is one cached entry.
type EntryRow struct {
	Name     string `json:"name"`
	Registry string `json:"registry"`
	State    string `json:"state"` // fresh, stale, negative
	Tier     string `json:"tier"`  // memory, disk
	AgeMS    int64  `json:"age_ms"`
	TTLMS    int64  `json:"ttl_ms"`
	Index    uint64 `json:"index"`
	Bytes    int    `json:"bytes"`
	Hits     uint64 `json:"hits"`
}

// A NodeStatus is the node as its operator sees it.
type NodeStatus struct {
	Node     string       `json:"node"`
	Version  string       `json:"version"`
	UptimeMS int64        `json:"uptime_ms"`
	Ready    bool         `json:"ready"`
	Degraded []string     `json:"degraded"`
	Synced   bool         `json:"synced"`
	Memory   MemoryStatus `json:"memory"`
	Store    *StoreStatus `json:"store,omitempty"` // nil: no disk
	Lookups  LookupStatus `json:"lookups"`
}

// A MemoryStatus is the memory tier's use of its budget, in bytes.
type MemoryStatus struct {
	Entries int    `json:"entries"`
	Bytes   uint64 `json:"bytes"`
	Limit   uint64 `json:"limit"`
}

// A StoreStatus is the disk tier's state.
type StoreStatus struct {
	State   string `json:"state"`   // ok, slow, full, dead
	Bytes   uint64 `json:"bytes"`   // on disk
	Limit   uint64 `json:"limit"`   // store.max_bytes
	Entries uint64 `json:"entries"` // on disk
	Journal uint64 `json:"journal"` // records kept
	Error   string `json:"error,omitempty"`
}

// A LookupStatus counts lookups since start by outcome.
type LookupStatus struct {
	Hits     uint64 `json:"hits"`
	Stale    uint64 `json:"stale"`
	Misses   uint64 `json:"misses"`
	Negative uint64 `json:"negative"`
	Errors   uint64 `json:"errors"`
}

// A MemberStatus is one node of the cluster.
type MemberStatus struct {
	Name    string  `json:"name"`
	State   string  `json:"state"` // alive, suspect, failed, left
	Address string  `json:"address"`
	Zone    string  `json:"zone"`
	Version string  `json:"version"`
	Synced  bool    `json:"synced"`
	Lag     uint64  `json:"lag"`
	DelayMS float64 `json:"delay_ms"`
}
