package consul

// ParseHealth is open to fuzzing.
var ParseHealth = parseHealth
