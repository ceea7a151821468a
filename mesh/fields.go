package mesh

import (
	"reflect"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// field is a struct field by its JSON name.
type field struct {
	name  string
	value reflect.Value
}

// fieldsOf lists the JSON fields of a struct in the order of its declaration, those of embedded
// structs in their place.
func fieldsOf(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			all = append(all, fieldsOf(v.Field(i))...)
		case name != "" && name != "-":
			all = append(all, field{name, v.Field(i)})
		}
	}
	return all
}

// enumValues are the values of a type that has few, or nil.
func enumValues(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[jetstream.RetentionPolicy]():
		return []string{"limits", "interest", "workqueue"}
	case reflect.TypeFor[jetstream.DiscardPolicy]():
		return []string{"old", "new"}
	case reflect.TypeFor[jetstream.StorageType]():
		return []string{"file", "memory"}
	case reflect.TypeFor[jetstream.StoreCompression]():
		return []string{"none", "s2"}
	case reflect.TypeFor[jetstream.PersistModeType]():
		return []string{"default", "async"}
	case reflect.TypeFor[jetstream.DeliverPolicy]():
		return []string{"all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject"}
	case reflect.TypeFor[jetstream.ReplayPolicy]():
		return []string{"instant", "original"}
	case reflect.TypeFor[Repeat]():
		return []string{string(RepeatKeep), string(RepeatDrop)}
	case reflect.TypeFor[WithoutInteraction]():
		return []string{string(InteractionRequired), string(InteractionOptional)}
	case reflect.TypeFor[BackoffType]():
		return []string{string(BackoffExponential), string(BackoffFixed)}
	case reflect.TypeFor[Order]():
		return []string{string(OrderInteraction), string(OrderNone)}
	case reflect.TypeFor[RedactWith]():
		return []string{string(RedactMask), string(RedactHash), string(RedactDrop)}
	case reflect.TypeFor[AuthMethod]():
		return []string{string(AuthBasic), string(AuthBearer), string(AuthOAuth2)}
	case reflect.TypeFor[VerificationMethod]():
		return []string{
			string(VerifyHMAC), string(VerifyStandardWebhooks), string(VerifyMessageSignature), string(VerifyHeader),
			string(VerifyBasic), string(VerifyBearer), string(VerifyJWT),
		}
	}
	return nil
}

// takenField says why a field that NATS has can't be set in streams.json, or "".
func takenField(owner reflect.Type, name string) string {
	if owner != reflect.TypeFor[Subscriber]() {
		return ""
	}
	switch name {
	case "durable_name":
		return "the durable is named as the subscriber is"
	case "deliver_subject", "deliver_group":
		return "all processes that serve the subscriber must share it, and a change stops delivery silently"
	case "ack_policy":
		return "only explicit acknowledgement keeps an event until its target took it"
	case "flow_control", "idle_heartbeat":
		return "it does not work for a deliver group, whose members share one subject; max_ack_pending is the back-pressure"
	case "headers_only":
		return "a target gets whole events"
	case "inactive_threshold":
		return "a subscriber that is away for long must find its events when it comes back"
	case "max_waiting", "max_batch", "max_expires", "max_bytes":
		return "it is for pull consumers, and a subscriber is a push consumer"
	case "priority_policy", "priority_timeout", "priority_groups":
		return "it is for pull consumers, and a subscriber is a push consumer"
	}
	return ""
}
