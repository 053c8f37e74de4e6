package consul

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// What the adapter reads of an element of /v1/health/service.
type element struct {
	Node    *node
	Service *service
	Checks  []check
}

type node struct {
	Node, Address, Datacenter string
	Meta                      map[string]string
	Locality                  *locality
}

type service struct {
	ID, Service, Address, SocketPath string
	Port                             uint16
	Ports                            []port
	Tags                             []string
	Meta                             map[string]string
	TaggedAddresses                  map[string]taggedAddress
	Weights                          *weights
	Locality                         *locality
}

type port struct {
	Name    string
	Port    uint16
	Default bool
}

type taggedAddress struct {
	Address string
	Port    uint16
}

type weights struct{ Passing, Warning uint16 }

type locality struct{ Region, Zone string }

type check struct{ CheckID, Status string }

// span is where an element stands in the body.
type span struct{ from, to int64 }

// eachElement calls yield for each element of a JSON array that fills the
// body.
func eachElement[T any](body []byte, yield func(i int, at span, e *T) error) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("JSON array expected: %w", wrong(t, err))
	}
	for i := 0; dec.More(); i++ {
		at := span{from: dec.InputOffset()}
		var e T
		if err := dec.Decode(&e); err != nil {
			return fmt.Errorf("element %d: %w", i, cut(err))
		}
		at.to = dec.InputOffset()
		for at.from < at.to && bytes.IndexByte([]byte(" \t\r\n,"), body[at.from]) >= 0 {
			at.from++
		}
		if err := yield(i, at, &e); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return cut(err)
	}
	return end(dec)
}

// end returns an error unless nothing follows.
func end(dec *json.Decoder) error {
	if t, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("end of the JSON expected: %w", wrong(t, err))
	}
	return nil
}

func wrong(t json.Token, err error) error {
	if err != nil {
		return cut(err)
	}
	return fmt.Errorf("found %.40v", t)
}

// cut names the end of the body as what it is: too early.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseNames returns the keys of /v1/catalog/services, never nil.
func parseNames(body []byte) ([]string, error) {
	var list map[string][]string
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&list); err != nil {
		return nil, cut(err)
	}
	if list == nil {
		return nil, errors.New("JSON object expected, found null")
	}
	names := make([]string, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	return names, end(dec)
}

// parseRows returns the number of rows of /v1/catalog/service.
func parseRows(body []byte) (int, error) {
	rows := 0
	err := eachElement(body, func(_ int, _ span, row *struct{ ServiceName string }) error {
		rows++
		if row.ServiceName == "" {
			return errors.New("ServiceName is missing")
		}
		return nil
	})
	return rows, err
}
