package file

import "github.com/edgecache/edgecache/registry"

// Parse reads one file and returns what it holds as records.
func Parse(data []byte, format string) ([]*registry.Record, error) {
	records, groups, err := parse(data, format)
	for _, s := range unite(groups) {
		records = append(records, s.record(true))
	}
	return records, err
}

// YAMLToJSON converts YAML to JSON.
func YAMLToJSON(data []byte) ([]byte, error) { return yamlToJSON(data) }
