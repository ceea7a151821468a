// Package ingress takes events in: it turns signed HTTP requests into stored events.
//
// A request is answered once its event is durably stored and never before; what can't be stored
// now is refused with a 503, so that the sender tries again. receive.go is the whole way of a
// request on one screen, answer.go all that it can be told.
//
// One goroutine serves each connection, as in net/http. Server.Update swaps the routes as a
// whole: a request ends on the route it began on.
package ingress
