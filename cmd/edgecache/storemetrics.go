package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// A storeSnapshot is what the store said at one scrape.
type storeSnapshot struct {
	status registry.StoreStatus
	stats  store.Stats
}

// storeStates are the values of the label `state`.
var storeStates = []string{"ok", "slow", "full", "dead"}

// storeFamilies are there only on a node with a disk.
func storeFamilies() []family {
	return []family{
		{"edgecache_store_state", gauge, "1 for the state that the store is in.", []string{"state"}, func(s *snapshot, e emit) {
			for _, state := range storeStates {
				if s.store != nil {
					e(truth(s.store.status.State == state), state)
				}
			}
		}},
		ofStore("edgecache_store_bytes", gauge, "Bytes on disk.", func(s *store.Stats) float64 { return float64(s.Bytes) }),
		ofStore("edgecache_store_limit_bytes", gauge, "The most bytes on disk.", func(s *store.Stats) float64 { return float64(s.Limit) }),
		ofStore("edgecache_store_entries", gauge, "Entries on disk.", func(s *store.Stats) float64 { return float64(s.Entries) }),
		ofStore("edgecache_store_journal_records", gauge, "Invalidations kept.", func(s *store.Stats) float64 { return float64(s.Journal) }),
		ofStore("edgecache_store_directory", gauge, "Number of the directory in use, 0 if there is none.", func(s *store.Stats) float64 { return float64(s.Directory) }),
		ofStore("edgecache_store_queued", gauge, "Changes that wait to be committed.", func(s *store.Stats) float64 { return float64(s.Queued) }),
		ofStore("edgecache_store_changes_total", counter, "Changes committed.", func(s *store.Stats) float64 { return float64(s.Changes) }),
		ofStore("edgecache_store_commits_total", counter, "Batches committed.", func(s *store.Stats) float64 { return float64(s.Commits) }),
		ofStore("edgecache_store_syncs_total", counter, "Batches that were synced.", func(s *store.Stats) float64 { return float64(s.Syncs) }),
		ofStore("edgecache_store_commit_seconds_total", counter, "Time that commits took.", func(s *store.Stats) float64 { return s.CommitSeconds }),
		ofStore("edgecache_store_slow_writes_total", counter, "Reports of writes that hang.", func(s *store.Stats) float64 { return float64(s.SlowWrites) }),
		ofStore("edgecache_store_stalls_total", counter, "Times that commits waited for flushes or compactions.", func(s *store.Stats) float64 { return float64(s.Stalls) }),
		ofStore("edgecache_store_background_errors_total", counter, "Flushes and compactions that failed.", func(s *store.Stats) float64 { return float64(s.Background) }),
		ofStore("edgecache_store_read_errors_total", counter, "Reads that failed.", func(s *store.Stats) float64 { return float64(s.ReadErrors) }),
		ofStore("edgecache_store_unreadable_total", counter, "Values read that make no sense.", func(s *store.Stats) float64 { return float64(s.Unreadable) }),
		ofStore("edgecache_store_refused_total", counter, "Writes of entries refused for want of space.", func(s *store.Stats) float64 { return float64(s.Refused) }),
		ofStore("edgecache_store_read_amplification", gauge, "Tables that a read may look into.", func(s *store.Stats) float64 { return float64(s.Engine.ReadAmp) }),
		ofStore("edgecache_store_sublevels", gauge, "Sublevels of level 0.", func(s *store.Stats) float64 { return float64(s.Engine.Sublevels) }),
		ofStore("edgecache_store_compaction_debt_bytes", gauge, "Bytes to be compacted.", func(s *store.Stats) float64 { return float64(s.Engine.CompactionDebt) }),
		ofStore("edgecache_store_memtable_bytes", gauge, "Bytes of memtables.", func(s *store.Stats) float64 { return float64(s.Engine.MemtableBytes) }),
		ofStore("edgecache_store_wal_bytes", gauge, "Bytes of the WAL in use.", func(s *store.Stats) float64 { return float64(s.Engine.WALBytes) }),
		ofStore("edgecache_store_obsolete_bytes", gauge, "Bytes of tables that wait to be deleted.", func(s *store.Stats) float64 { return float64(s.Engine.ObsoleteBytes) }),
		ofStore("edgecache_store_block_cache_bytes", gauge, "Bytes of the block cache.", func(s *store.Stats) float64 { return float64(s.Engine.CacheBytes) }),
		ofStore("edgecache_store_block_cache_hits_total", counter, "Blocks found in the cache.", func(s *store.Stats) float64 { return float64(s.Engine.CacheHits) }),
		ofStore("edgecache_store_block_cache_misses_total", counter, "Blocks read.", func(s *store.Stats) float64 { return float64(s.Engine.CacheMisses) }),
		ofStore("edgecache_store_deaths_total", counter, "Directories given up.", func(s *store.Stats) float64 { return float64(s.Deaths) }),
	}
}

// ofStore is a family of one value of the store's.
func ofStore(name string, kind prometheus.ValueType, help string, value func(*store.Stats) float64) family {
	return family{name, kind, help, nil, func(s *snapshot, e emit) {
		if s.store != nil {
			e(value(&s.store.stats))
		}
	}}
}

// persistFamilies tell what the cache has to do with its disk.
func persistFamilies() []family {
	return []family{
		ofPersisted("edgecache_cache_disk_pending", gauge, "Names that wait to be written.", func(p *cache.Persisted) float64 { return float64(p.Pending) }),
		ofPersisted("edgecache_cache_disk_pending_bytes", gauge, "Bytes of the entries that wait.", func(p *cache.Persisted) float64 { return float64(p.PendingBytes) }),
		{"edgecache_cache_disk_writes_total", counter, "Entries by what was written of them.", []string{"kind"}, func(s *snapshot, e emit) {
			p := &s.cache.Persisted
			e(float64(p.Written), "entry")
			e(float64(p.Confirmed), "confirmed")
			e(float64(p.Deleted), "deleted")
			e(float64(p.Dropped), "dropped")
		}},
		ofPersisted("edgecache_cache_disk_write_errors_total", counter, "Batches that were not written.", func(p *cache.Persisted) float64 { return float64(p.WriteErrors) }),
		{"edgecache_cache_disk_reads_total", counter, "Reads of one name by result.", []string{"result"}, func(s *snapshot, e emit) {
			p := &s.cache.Persisted
			e(float64(p.Found), "found")
			e(float64(p.Absent), "absent")
			e(float64(p.Refused), "refused")
			e(float64(p.Skipped), "skipped")
		}},
		ofPersisted("edgecache_cache_disk_loaded_total", counter, "Entries loaded from disk after the start.", func(p *cache.Persisted) float64 { return float64(p.Loaded) }),
	}
}

// ofPersisted is a family of one value of the cache's disk.
func ofPersisted(name string, kind prometheus.ValueType, help string, value func(*cache.Persisted) float64) family {
	return one(name, kind, help, func(s *snapshot) float64 { return value(&s.cache.Persisted) })
}
