package mesh

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is one field of a stream or consumer that differs.
type Change struct {
	// Field is NATS's own name, such as "max_age", or "metadata." and a key.
	Field string `json:"field"`
	// From and To are the values as a reader sees them: durations as "24h", "" where unset.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// comparison compares what is wanted with what the server has, field by field.
//
// Only three kinds of fields count: those that streams.json sets, those that genmesh always
// sets, and those that streams.json set when it was applied last and no longer does, which go
// back to their default. All others are the server's or an operator's.
type comparison struct {
	wanted, current reflect.Value // both StreamConfig or both ConsumerConfig
	// merged is current with all changes made.
	merged  reflect.Value
	always  []string
	never   []string
	changes []Change
}

func compareStreams(wanted, current jetstream.StreamConfig) (jetstream.StreamConfig, []Change) {
	merged := current
	c := comparison{
		wanted: reflect.ValueOf(&wanted).Elem(), current: reflect.ValueOf(&current).Elem(),
		merged: reflect.ValueOf(&merged).Elem(),
		always: alwaysInStreams(),
		never:  []string{"name", "first_seq", "metadata"},
	}
	c.compare(current.Metadata)
	merged.Metadata = c.metadata(wanted.Metadata, current.Metadata)
	return merged, c.changes
}

func alwaysInStreams() []string {
	return []string{"subjects", "retention", "discard", "storage", "num_replicas"}
}

func compareConsumers(wanted, current jetstream.ConsumerConfig) (jetstream.ConsumerConfig, []Change) {
	if current.FilterSubject != "" { // the same thing, written in the other way
		current.FilterSubjects, current.FilterSubject = []string{current.FilterSubject}, ""
	}
	merged := current
	c := comparison{
		wanted: reflect.ValueOf(&wanted).Elem(), current: reflect.ValueOf(&current).Elem(),
		merged: reflect.ValueOf(&merged).Elem(),
		always: []string{"filter_subjects", "ack_policy", "backoff", "deliver_subject", "deliver_group", "flow_control",
			"idle_heartbeat", "headers_only", "inactive_threshold", "max_waiting", "replay_policy", "mem_storage"},
		// Where a consumer began matters only when it is made.
		never: []string{"name", "deliver_policy", "opt_start_seq", "opt_start_time", "metadata"},
	}
	c.compare(current.Metadata)
	merged.Metadata = c.metadata(wanted.Metadata, current.Metadata)
	return merged, c.changes
}

// setByCreate lists what a new stream or consumer is made with.
func setByCreate(config reflect.Value, metadata map[string]string, always []string) []Change {
	var changes []Change
	for _, f := range fieldsOf(config) {
		told := f.name == "name" || f.name == "durable_name" || f.name == "metadata"
		if !told && (!f.value.IsZero() || slices.Contains(always, f.name)) {
			changes = append(changes, Change{Field: f.name, To: show(f.value)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if key != metadataFields {
			changes = append(changes, Change{Field: shownKey(key), To: metadata[key]})
		}
	}
	return changes
}

func (c *comparison) compare(marks map[string]string) {
	before := splitFields(marks[metadataFields])
	was, becomes := fieldsOf(c.current), fieldsOf(c.merged)
	for i, f := range fieldsOf(c.wanted) {
		counts := !f.value.IsZero() || slices.Contains(c.always, f.name) || slices.Contains(before, f.name)
		if !counts || slices.Contains(c.never, f.name) || same(f.name, f.value, was[i].value) {
			continue
		}
		c.changes = append(c.changes, Change{f.name, show(was[i].value), show(f.value)})
		becomes[i].value.Set(f.value)
	}
}

// metadata merges the metadata key by key: a key that nobody of us set stays.
func (c *comparison) metadata(wanted, current map[string]string) map[string]string {
	merged := maps.Clone(current)
	if merged == nil {
		merged = map[string]string{}
	}
	for _, field := range splitFields(current[metadataFields]) {
		key, ok := strings.CutPrefix(field, "metadata.")
		if _, still := wanted[key]; ok && !still {
			c.changeKey(merged, key, "")
			delete(merged, key)
		}
	}
	for _, key := range dropSettings(current, wanted) {
		c.changeKey(merged, key, "")
		delete(merged, key)
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if key == metadataFields && c.sameFields(merged[key], wanted[key]) {
			continue
		}
		c.changeKey(merged, key, wanted[key])
	}
	return merged
}

// sameFields reports whether two lists of fields name the same of those that count: that streams.json sets another start than
// before is nothing to apply.
func (c *comparison) sameFields(current, wanted string) bool {
	counting := func(list string) []string {
		return slices.DeleteFunc(splitFields(list), func(field string) bool { return slices.Contains(c.never, field) })
	}
	return slices.Equal(counting(current), counting(wanted))
}

func (c *comparison) changeKey(merged map[string]string, key, to string) {
	if from, ok := merged[key]; ok && from == to {
		return
	}
	c.changes = append(c.changes, Change{shownKey(key), merged[key], to})
	merged[key] = to
}

// shownKey is a metadata key as the reader of a plan knows it: a setting by its name in streams.json.
func shownKey(key string) string {
	if setting, ok := strings.CutPrefix(key, metadataSetting); ok {
		return setting
	}
	return "metadata." + key
}

func splitFields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// setFields names the fields that a wanted configuration sets, for metadataFields.
func setFields(config reflect.Value, metadata map[string]string) string {
	var names []string
	for _, f := range fieldsOf(config) {
		if !f.value.IsZero() && f.name != "metadata" && f.name != "name" {
			names = append(names, f.name)
		}
	}
	for key := range metadata {
		if !strings.HasPrefix(key, "genmesh.") && !strings.Contains(key, ",") {
			names = append(names, "metadata."+key)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// same compares a wanted value with the server's, which writes "no limit" as -1.
func same(name string, wanted, current reflect.Value) bool {
	switch w := wanted.Interface().(type) {
	case []string:
		return slices.Equal(slices.Sorted(slices.Values(w)), slices.Sorted(slices.Values(current.Interface().([]string))))
	case *time.Time:
		return sameTime(name, w, current.Interface().(*time.Time))
	case int, int32, int64:
		if strings.HasPrefix(name, "max_") {
			return unlimited(wanted.Int()) == unlimited(current.Int())
		}
	}
	return isEmpty(wanted) && isEmpty(current) || reflect.DeepEqual(wanted.Interface(), current.Interface())
}

func isEmpty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 ||
		v.Kind() == reflect.Pointer && v.Elem().IsZero()
}

// sameTime takes a pause that is over for none.
func sameTime(name string, wanted, current *time.Time) bool {
	if name == "pause_until" && wanted != nil && wanted.Before(time.Now()) {
		return current == nil || current.Before(time.Now())
	}
	return wanted == nil && current == nil || wanted != nil && current != nil && wanted.Equal(*current)
}

func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// show is a value as the reader of a plan wants it.
func show(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		if value == 0 {
			return ""
		}
		return Duration(value).String()
	case string:
		return value
	case []string:
		return strings.Join(value, ", ")
	}
	if v.IsZero() && v.Kind() == reflect.Pointer {
		return ""
	}
	raw, err := json.Marshal(v.Interface())
	if err != nil {
		return fmt.Sprint(v.Interface())
	}
	return strings.Trim(string(raw), `"`)
}
