package store

// Engine is what Pebble says of the directory in use, as of some seconds ago.
type Engine struct {
	ReadAmp        int    // tables that a read may have to look into
	Sublevels      int    // of level 0: how far compactions are behind
	CompactionDebt uint64 // bytes to be compacted
	MemtableBytes  uint64
	WALBytes       uint64 // in use
	ObsoleteBytes  uint64 // of tables that wait to be deleted
	CacheBytes     uint64 // of the block cache
	CacheHits      int64  // since the directory is in use
	CacheMisses    int64
}

// sample takes the engine's metrics. It may hang with the directory, so those
// who want them get the newest sample.
func (d *directory) sample() {
	m := d.db.Metrics()
	d.engine.Store(&Engine{
		ReadAmp: m.ReadAmp(), Sublevels: int(m.Levels[0].Sublevels), CompactionDebt: m.Compact.EstimatedDebt,
		MemtableBytes: m.MemTable.Size, WALBytes: m.WAL.Size, ObsoleteBytes: m.Table.ObsoleteSize + m.Table.ZombieSize,
		CacheBytes: uint64(m.BlockCache.Size), CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
	})
}
