package registry

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes, written as 256MiB in configuration.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes float64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a number with one of the units KiB, MiB, GiB, TiB, B.
func (s *Size) UnmarshalText(text []byte) error {
	t := strings.TrimSpace(string(text))
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(t, u.name); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil || !(n >= 0 && n*u.bytes <= math.MaxInt64/2) {
				break
			}
			*s = Size(n * u.bytes)
			return nil
		}
	}
	if t == "0" {
		*s = 0
		return nil
	}
	return fmt.Errorf("size %q: a number with KiB, MiB or GiB expected, as in 256MiB", t)
}

// MarshalText writes the size with the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Size) String() string {
	for _, u := range sizeUnits {
		if b := Size(u.bytes); s >= b && s%b == 0 {
			return strconv.FormatInt(int64(s/b), 10) + u.name
		}
	}
	return "0"
}

// A Share is a fraction between 0 and 1, written as 5% in configuration.
type Share float64

// UnmarshalText reads a percentage from 0% to 100%.
func (s *Share) UnmarshalText(text []byte) error {
	t := strings.TrimSpace(string(text))
	number, ok := strings.CutSuffix(t, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) {
		return fmt.Errorf("share %q: a percentage from 0%% to 100%% expected, as in 5%%", t)
	}
	*s = Share(n / 100)
	return nil
}

// MarshalText writes the share as a percentage.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Share) String() string {
	return strconv.FormatFloat(math.Round(float64(s)*1e6)/1e4, 'f', -1, 64) + "%"
}

// Strings is a list that configuration may also write as one string.
type Strings []string

// UnmarshalYAML reads a string or a list of strings.
func (s *Strings) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*s = Strings{one}
		return nil
	}
	var many []string
	if err := unmarshal(&many); err != nil {
		return err
	}
	*s = many
	return nil
}
