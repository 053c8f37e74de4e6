package main

// memberStates are the values of the label `state`.
var memberStates = []string{"alive", "suspect", "failed", "left"}

// gossipFamilies tell of the cluster; alone, the node is its one member.
func gossipFamilies() []family {
	return []family{
		{"edgecache_gossip_synced", gauge, "1 if the node is sure to have all invalidations.", nil, func(s *snapshot, e emit) {
			e(truth(s.node.synced()))
		}},
		{"edgecache_gossip_members", gauge, "Members by what this node knows of them.", []string{"state"}, func(s *snapshot, e emit) {
			for _, state := range memberStates {
				n := 0
				for _, m := range s.members {
					if m.State == state {
						n++
					}
				}
				e(float64(n), state)
			}
		}},
		{"edgecache_gossip_lag_records", gauge, "The most records that an alive member has not logged of those here.", nil, func(s *snapshot, e emit) {
			most := uint64(0)
			for _, m := range s.members {
				if m.State == "alive" {
					most = max(most, m.Lag)
				}
			}
			e(float64(most))
		}},
		{"edgecache_gossip_messages_total", counter, "Messages of the second path, by what became of them.", []string{"outcome"}, func(s *snapshot, e emit) {
			m := s.mesh
			e(float64(m.Received-m.Bad), "received")
			e(float64(m.Bad), "bad")
			e(float64(m.Dropped), "dropped")
			e(float64(m.Refused), "refused")
		}},
	}
}
