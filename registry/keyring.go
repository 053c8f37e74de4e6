package registry

// A KeyringStep is one of the three by which a cluster takes another key.
type KeyringStep string

// The steps, in order. Each is confirmed by all members before the next.
const (
	KeyringInstall KeyringStep = "install" // peers with the key are let in
	KeyringUse     KeyringStep = "use"     // it seals what is sent
	KeyringRemove  KeyringStep = "remove"  // peers with nothing but the key are refused
)

// A KeyringReport tells the keys of all members.
type KeyringReport struct {
	Key     string          `json:"key,omitempty"` // the fingerprint of the step's
	Done    bool            `json:"done"`          // by every member
	Members []KeyringMember `json:"members"`
}

// A KeyringMember is what one member has, or why it did not do the step.
type KeyringMember struct {
	Name  string   `json:"name"`
	Keys  []string `json:"keys"` // fingerprints, the key in use first
	Done  bool     `json:"done"`
	Error string   `json:"error,omitempty"`
}
