package registry

import (
	"math"
	"time"
)

func (p *parser) health(h *Health) error {
	s, err := p.string()
	if err != nil {
		return err
	}
	if *h, err = ParseHealth(s); err != nil {
		return p.errorf("%w", err)
	}
	return nil
}

// weight reads a number in hundredths. What takes traffic takes at least one.
func (p *parser) weight() (uint32, error) {
	v, err := p.number()
	if err != nil {
		return 0, err
	}
	hundredths := math.Round(v * 100)
	if v < 0 || hundredths > math.MaxUint32 {
		return 0, p.errorf("%v: a number from 0 to %d expected", v, math.MaxUint32/100)
	}
	if v > 0 && hundredths == 0 {
		hundredths = 1
	}
	return uint32(hundredths), nil
}

func (p *parser) uint16() (uint16, error) {
	v, err := p.number()
	if err == nil && (v != math.Trunc(v) || v < 0 || v > math.MaxUint16) {
		err = p.errorf("%v: a whole number from 0 to %d expected", v, math.MaxUint16)
	}
	return uint16(v), err
}

func (p *parser) milliseconds() (time.Duration, error) {
	v, err := p.number()
	if err == nil && (v != math.Trunc(v) || v < 0 || v > math.MaxInt64/2/1e6) {
		err = p.errorf("%v: a whole number of milliseconds expected", v)
	}
	return time.Duration(v) * time.Millisecond, err
}

// time reads an RFC 3339 time as Unix ms.
func (p *parser) time() (int64, error) {
	s, err := p.string()
	if err != nil || s == "" {
		return 0, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.UnixMilli() <= 0 || t.UnixMilli() > maxTime {
		return 0, p.errorf("%q: an RFC 3339 time expected, as in 2026-01-31T12:00:00Z", s)
	}
	return t.UnixMilli(), nil
}
