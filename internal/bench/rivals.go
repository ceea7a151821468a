package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"

	"github.com/julienschmidt/httprouter"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// newFloor is what any receiver in Go costs: it reads the body and says that all is well.
func newFloor() http.Handler {
	router := httprouter.New()
	router.POST("/floor", func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes)); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	return router
}

const maxBodyBytes = 512 << 10

// newHandWritten is the receiver that one would write in an afternoon: it checks the signature,
// decodes the event, and publishes it before it answers. Later events of an interaction would
// be dropped as duplicates; it is sent distinct ones only.
func newHandWritten(js jetstream.JetStream) http.Handler {
	router := httprouter.New()
	router.POST("/handwritten", func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
		w.WriteHeader(receiveByHand(js, w, r))
	})
	return router
}

func receiveByHand(js jetstream.JetStream, w http.ResponseWriter, r *http.Request) (status int) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return http.StatusBadRequest
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sent, err := hex.DecodeString(r.Header.Get("X-Genesys-Signature"))
	if err != nil || !hmac.Equal(sent, mac.Sum(nil)) {
		return http.StatusUnauthorized
	}
	var event struct {
		Type string `json:"eventTypeId"`
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Data.ID == "" {
		return http.StatusBadRequest
	}
	msg := &nats.Msg{Subject: "handwritten." + event.Type + "." + event.Data.ID, Data: body}
	ack, err := js.PublishMsg(r.Context(), msg, jetstream.WithMsgID(event.Data.ID))
	switch {
	case err != nil:
		return http.StatusServiceUnavailable
	case ack.Duplicate:
		return http.StatusOK
	}
	return http.StatusAccepted
}
