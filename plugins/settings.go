package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A setting is a value of a plugin's configuration: what guests read of it was
// made once.
type setting struct {
	text   []byte // a string's text, of anything else its JSON
	fields map[string]*setting
	items  []*setting
}

// readSettings takes a configuration in JSON apart. What is returned aliases it.
func readSettings(config []byte) (*setting, error) {
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	return readSetting(d, config)
}

func readSetting(d *json.Decoder, config []byte) (*setting, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		text := fmt.Sprint(token)
		if token == nil {
			text = "null"
		}
		return &setting{text: []byte(text)}, nil
	}
	s, start := &setting{}, d.InputOffset()-1
	if delim == '{' {
		s.fields = map[string]*setting{}
	}
	for d.More() {
		var key any
		if s.fields != nil {
			if key, err = d.Token(); err != nil {
				return nil, err
			}
		}
		value, err := readSetting(d, config)
		if err != nil {
			return nil, err
		}
		if s.fields != nil {
			s.fields[key.(string)] = value
		} else {
			s.items = append(s.items, value)
		}
	}
	_, err = d.Token() // the end
	s.text = config[start:d.InputOffset()]
	return s, err
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// at returns what a JSON pointer (RFC 6901) finds.
func (s *setting) at(pointer string) (*setting, int) {
	if pointer == "" {
		return s, codeOK
	}
	if pointer[0] != '/' {
		return nil, codeInvalid
	}
	for step := range strings.SplitSeq(pointer[1:], "/") {
		step = unescape.Replace(step)
		next := s.fields[step]
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(s.items) {
			next = s.items[i]
		}
		if s = next; s == nil {
			return nil, codeNotFound
		}
	}
	return s, codeOK
}
