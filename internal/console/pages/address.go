package pages

import (
	"net/url"
	"strconv"
)

// link is the address of a page: its path, and what of its fields, in pairs of name and value, is not empty.
func link(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Add(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

func subscriberPath(name string) string { return "/subscribers/" + url.PathEscape(name) }

func interactionPath(id, source string) string {
	return link("/interactions", "id", id, "source", source)
}

func eventsPath(stream, source string) string {
	return link("/events", "stream", stream, "source", source)
}

func eventPath(stream string, sequence uint64) string {
	if stream == "" || sequence == 0 {
		return ""
	}
	return "/events/" + url.PathEscape(stream) + "/" + strconv.FormatUint(sequence, 10)
}

func deadLetterPath(number uint64) string { return "/dead-letters/" + strconv.FormatUint(number, 10) }

func quarantinePath(number uint64) string { return "/quarantine/" + strconv.FormatUint(number, 10) }

func taskPath(id string) string { return "/tasks/" + url.PathEscape(id) }
