package node

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// settings are the keys below limits in a configuration file, and what each sets.
func (l *Limits) settings() map[string]any {
	return map[string]any{
		"header": &l.Header, "body": &l.Body, "request": &l.Request, "idle": &l.Idle, "stream": &l.Stream, "drain": &l.Drain,
		"body-bytes": &l.BodyBytes, "answer-bytes": &l.AnswerBytes, "held-bytes": &l.HeldBytes,
		"at-once": &l.AtOnce, "caller-at-once": &l.CallerAtOnce, "caller-rate": &l.CallerRate, "streams": &l.Streams, "caller-streams": &l.CallerStreams,
		"depth": &l.Depth, "search-rows": &l.SearchRows, "search-hop": &l.SearchHop, "search-included": &l.SearchIncluded, "search-time": &l.SearchTime,
		"user-tries": &l.UserTries, "address-tries": &l.AddressTries, "locked": &l.Locked,
		"token-client": &l.TokenClient, "token-address": &l.TokenAddress,
	}
}

// LimitSettings are the keys that limits may have in a configuration file.
func LimitSettings() []string { return slices.Sorted(maps.Keys(new(Limits).settings())) }

// mostDrain keeps a stop within ten seconds, sealing included.
const mostDrain = 8 * time.Second

// leastDepth lets in a Questionnaire in a Bundle, and extensions of extensions.
const leastDepth = 16

// search are the limits of one search.
func (l Limits) search() record.Limits {
	return record.Limits{Rows: l.SearchRows, Set: l.SearchHop, Included: l.SearchIncluded, Time: l.SearchTime}
}

// services are the limits that services keep to.
func (l Limits) services() catalogue.Limits {
	return catalogue.Limits{Depth: l.Depth, UserTries: l.UserTries, AddressTries: l.AddressTries, Locked: l.Locked, TokenClient: l.TokenClient, TokenAddress: l.TokenAddress}
}

// readLimits reads what stands below limits: times as 10s or 2m, sizes as 16MB, 512KB or bytes, numbers as they are. A key that it does not
// know, and a value that is not above zero, is refused by name.
func readLimits(path string, raw any) (Limits, error) {
	var l Limits
	if raw == nil {
		return l, nil
	}
	given, ok := raw.(map[string]any)
	if !ok {
		return l, fault.New(fault.Invalid, "%s: limits must be settings, one under another", path)
	}
	settings := l.settings()
	for _, key := range slices.Sorted(maps.Keys(given)) {
		at, known := settings[key]
		if !known {
			return l, fault.New(fault.Invalid, "%s: limits: unknown setting %s; there are: %s", path, key, strings.Join(LimitSettings(), ", "))
		}
		if err := setLimit(at, fmt.Sprint(given[key])); err != nil {
			return l, fault.New(fault.Invalid, "%s: limits: %s is %v: %v", path, key, given[key], fault.MessageOf(err))
		}
	}
	switch {
	case l.Drain > mostDrain:
		return l, fault.New(fault.Invalid, "%s: limits: drain is at most %v, so that the node stops within ten seconds", path, mostDrain)
	case l.Depth > fhir.DefaultMaxDepth || l.Depth != 0 && l.Depth < leastDepth:
		return l, fault.New(fault.Invalid, "%s: limits: depth is from %d, which FHIR's own examples need, to %d", path, leastDepth, fhir.DefaultMaxDepth)
	case l.SearchTime > l.withDefaults().Request:
		return l, fault.New(fault.Invalid, "%s: limits: search-time is more than request, so that no such search could ever be answered", path)
	case l.BodyBytes > l.withDefaults().HeldBytes:
		return l, fault.New(fault.Invalid, "%s: limits: body-bytes is more than held-bytes, so that no such body could ever be taken", path)
	}
	return l, nil
}

// setLimit sets one limit from its text.
func setLimit(at any, text string) error {
	switch at := at.(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fault.New(fault.Invalid, "a time is written as 10s or 2m")
		}
		*at = d
	case *int64:
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		*at = n
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fault.New(fault.Invalid, "a number from 1 is wanted")
		}
		*at = n
	}
	return nil
}

// parseSize reads a size: 16MB, 512KB, 1GB or a number of bytes; a KB is 1,024 bytes. It is at most 1 TB.
func parseSize(text string) (int64, error) {
	unit, digits := int64(1), strings.TrimSpace(text)
	for suffix, size := range map[string]int64{"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			unit, digits = size, strings.TrimSpace(rest)
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > (1<<40)/unit {
		return 0, fault.New(fault.Invalid, "a size is written as 16MB, 512KB or in bytes")
	}
	return n * unit, nil
}
