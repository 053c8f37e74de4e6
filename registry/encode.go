package registry

import "encoding/binary"

// appendContent appends the canonical bytes of what clients see of a record,
// its documents excepted: strings are preceded by their length, lists and
// metadata by their count. The binary codec stores these bytes
// and the content hash covers them.
func appendContent(dst []byte, r *Record) []byte {
	dst = appendText(dst, r.Key.Registry)
	dst = appendText(dst, r.Key.Name)
	dst = appendText(dst, string(r.Kind))
	dst = appendLength(dst, r.Document)
	dst = appendText(dst, r.MediaType)
	dst = appendTexts(dst, r.Tags)
	dst = appendMetadata(dst, r.Metadata)
	dst = appendUvarint(dst, uint64(len(r.Instances)))
	for i := range r.Instances {
		dst = appendContentInstance(dst, &r.Instances[i])
	}
	dst = appendUvarint(dst, uint64(len(r.Versions)))
	for i := range r.Versions {
		v := &r.Versions[i]
		dst = appendText(dst, v.Version)
		dst = appendText(dst, v.Status)
		dst = appendTexts(dst, v.Labels)
		dst = appendMetadata(dst, v.Metadata)
		dst = appendLength(dst, v.Document)
		dst = appendText(dst, v.MediaType)
		dst = binary.AppendVarint(dst, v.Updated)
	}
	return dst
}

func appendContentInstance(dst []byte, in *Instance) []byte {
	dst = appendText(dst, in.ID)
	dst = appendUvarint(dst, uint64(len(in.Endpoints)))
	for i := range in.Endpoints {
		e := &in.Endpoints[i]
		dst = appendText(dst, e.Name)
		dst = appendText(dst, e.Protocol)
		dst = appendText(dst, e.Address)
		dst = appendUvarint(dst, uint64(e.Port))
		dst = append(dst, byte(boolBit(e.TLS)))
		dst = appendText(dst, e.URL)
	}
	dst = append(dst, byte(in.Health))
	dst = appendUvarint(dst, uint64(in.Weight))
	dst = appendUvarint(dst, uint64(in.Priority))
	dst = appendText(dst, in.Version)
	dst = appendText(dst, in.Node)
	dst = appendText(dst, in.Region)
	dst = appendText(dst, in.Zone)
	dst = appendTexts(dst, in.Tags)
	dst = appendMetadata(dst, in.Metadata)
	return binary.AppendVarint(dst, in.Registered)
}

// appendUvarint is for numbers most of which are small.
func appendUvarint(dst []byte, n uint64) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	return binary.AppendUvarint(dst, n)
}

func appendText(dst []byte, s string) []byte {
	return append(appendUvarint(dst, uint64(len(s))), s...)
}

func appendTexts(dst []byte, list []string) []byte {
	dst = appendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendText(dst, s)
	}
	return dst
}

func appendMetadata(dst []byte, m Metadata) []byte {
	dst = appendUvarint(dst, uint64(len(m)))
	for i := range m {
		dst = appendText(dst, m[i].Key)
		dst = appendText(dst, m[i].Value)
	}
	return dst
}

// appendLength appends the length of a document plus one; 0 means that there
// is none.
func appendLength(dst, document []byte) []byte {
	if document == nil {
		return append(dst, 0)
	}
	return appendUvarint(dst, uint64(len(document))+1)
}
