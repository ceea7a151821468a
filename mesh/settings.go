package mesh

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// metadataSetting and a field's name hold, on a subscriber's consumers, what streams.json said when it
// was applied that the server itself has no field for: so that a plan shows that it changes.
const metadataSetting = "genmesh.setting."

// notSettings are the fields of a subscriber that the server has, in one way or another.
var notSettings = []string{
	"name", "stream", "description", "filter_subject", "filter_subjects", "deliver_policy", "opt_start_seq", "opt_start_time", "replay_policy",
	"ack_wait", "max_deliver", "max_ack_pending", "rate_limit_bps", "sample_freq", "num_replicas", "mem_storage", "pause_until", "metadata", "start",
}

// settings are the subscriber's other fields as streams.json would write them. Secrets are references,
// and so are URLs that were written with one.
func (s Subscriber) settings() map[string]string {
	settings := map[string]string{}
	for _, f := range fieldsOf(reflect.ValueOf(s)) {
		if slices.Contains(notSettings, f.name) || f.value.IsZero() {
			continue
		}
		raw, err := encode(f.value)
		if err != nil {
			continue // it is told when streams.json is read
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		settings[metadataSetting+f.name] = text
	}
	return settings
}

// dropSettings takes the settings that are no longer wanted out of metadata, and reports their keys.
func dropSettings(metadata, wanted map[string]string) []string {
	var dropped []string
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if _, still := wanted[key]; strings.HasPrefix(key, metadataSetting) && !still {
			dropped = append(dropped, key)
		}
	}
	return dropped
}
