package store

import (
	"strconv"
	"strings"
)

// MaxVersion is the highest number of a version.
const MaxVersion = 999_999_999

// At is the key of a version of the template k: its method is k's, then @ and
// the number, as in GET@3. The version is an item of its own, with that SK. At
// of 0 is k: the current template.
func (k Key) At(version int) Key {
	if version > 0 {
		k.Method += "@" + strconv.Itoa(version)
	}
	return k
}

// Cut undoes At. The version of a key that names none is 0.
func (k Key) Cut() (template Key, version int) {
	at := strings.LastIndexByte(k.Method, '@')
	if at <= 0 {
		return k, 0
	}
	n, err := strconv.Atoi(k.Method[at+1:])
	if err != nil || n < 1 || n > MaxVersion || strconv.Itoa(n) != k.Method[at+1:] {
		return k, 0
	}
	return Key{Name: k.Name, Method: k.Method[:at]}, n
}

// Of reports whether k is a version of the template; an empty method of the
// template stands for any.
func (k Key) Of(template Key) bool {
	base, n := k.Cut()
	return n > 0 && base.Name == template.Name && (template.Method == "" || base.Method == template.Method)
}

// CompareVersions orders keys by name, method and version, the latter as
// numbers.
func CompareVersions(a, b Key) int {
	baseA, versionA := a.Cut()
	baseB, versionB := b.Cut()
	if c := Compare(baseA, baseB); c != 0 {
		return c
	}
	return versionA - versionB
}
