package edgecache

import "math"

// Fields reads an object's members into variables: names, each with a pointer to a
// string, bool, int, int64, uint16, float64 or []string.
//
//	err := json.Fields("id", &id, "port", &port)
//
// Members that it does not name are skipped; of one that is null or not there the
// variable stays as it is. It goes on after errors as Object does.
func (p *JSON) Fields(named ...any) error {
	if err := p.opens('{', "an object"); err != nil {
		return err
	}
	var first error
	at := 0 // where the next name is looked for: most come in order
	for more := p.next() != '}'; more && p.fatal == nil; more = p.follows('}') {
		raw, ok := p.name()
		if !ok {
			break
		}
		if p.escaped {
			raw = []byte(unescaped(raw))
		}
		key, target := "", any(nil)
		if i := indexOf(named, at, raw); i >= 0 {
			key, target, at = named[i].(string), named[i+1], i+2
		} else {
			key = p.made(raw)
		}
		if p.colon(); p.fatal != nil {
			break
		}
		start := p.offset()
		err := p.into(target)
		if err == nil && p.fatal == nil {
			continue
		}
		if stop := p.after(err, start, key, -1, &first); stop != nil {
			return stop
		}
	}
	return p.closes(first)
}

// indexOf returns where a name is, -1 if it is not there.
func indexOf(named []any, from int, name []byte) int {
	for i := from; i+1 < len(named); i += 2 {
		if s, ok := named[i].(string); ok && s == string(name) {
			return i
		}
	}
	if from > 0 {
		return indexOf(named[:from], 0, name)
	}
	return -1
}

// into reads a value to where it belongs; nil: nowhere.
func (p *JSON) into(variable any) (err error) {
	if variable == nil || p.next() == 'n' {
		return asError(p.skip())
	}
	switch v := variable.(type) {
	case *string:
		var s string
		if s, err = p.String(); err == nil {
			*v = s
		}
	case *bool:
		var b bool
		if b, err = p.Bool(); err == nil {
			*v = b
		}
	case *float64:
		var n float64
		if n, err = p.Float(); err == nil {
			*v = n
		}
	case *int64:
		err = whole(p, v, math.MinInt64, math.MaxInt64)
	case *int:
		err = whole(p, v, math.MinInt, math.MaxInt)
	case *uint16:
		err = whole(p, v, 0, math.MaxUint16)
	case *[]string:
		var list []string
		if list, err = p.Strings(); err == nil {
			*v = list
		}
	default:
		err = Failed(ErrInternal, "Fields: a pointer to a string, bool, int, int64, uint16, float64 or []string expected")
	}
	return err
}

// whole reads a number that a variable can be.
func whole[T int | int64 | uint16](p *JSON, variable *T, least, most int64) error {
	n, err := p.Int()
	switch {
	case err != nil:
		return err
	case n < least || n > most:
		return Unexpected("a whole number from %d to %d expected, found %d", least, most, n)
	}
	*variable = T(n)
	return nil
}

// Strings reads a list of strings.
func (p *JSON) Strings() (list []string, err error) {
	list = []string{}
	err = p.Array(func(int) error {
		s, err := p.String()
		list = append(list, s)
		return err
	})
	return list, err
}
