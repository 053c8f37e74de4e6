package httpjson

// Arrived returns how many calls asked for the list, plus how many fetches of
// it began.
func Arrived(s *Source) uint64 { return s.list.sequence.Load() }
