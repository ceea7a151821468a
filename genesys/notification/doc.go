// Package notification listens to the notification service of Genesys Cloud and hands on what it says.
//
// The service is best effort and nothing here makes it more: it keeps no event for a socket that is
// away, numbers none and repeats none. A Bridge keeps gaps short, opens the next socket before it ends
// one where it knows beforehand, keeps frames for a while that can't be handed on, and says how much is
// lost. What must not be lost comes by a webhook or by Amazon EventBridge.
package notification
