package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"callfleet/internal/app/lambda/runtimetest"
	"callfleet/internal/awstest"
	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
	"callfleet/internal/blob/s3blob"
	"callfleet/internal/call"
)

// Bodies that are too large for Step Functions go through the bucket, in both
// directions, in a function as in a worker.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	moto, bucket := awstest.Moto(t), awstest.Name("blobs")
	store, err := s3blob.New(moto.Config(), s3blob.Options{Bucket: bucket, Prefix: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	image := blobtest.Data(6 << 20)
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(mirror.Close)
	upload := fmt.Sprintf(`{"id":"r-1","template":{"PK":{"S":"a"},"SK":{"S":"PUT"},"url":{"S":%q},"payloadRef":{"S":"file"}},"params":{"file":%%s}}`, mirror.URL)

	r, _ := start(t, append(moto.Env(), "CALLFLEET_BLOBS=s3://"+bucket+"/fleet")...)
	param, err := store.Put(t.Context(), "params/x", "image/png", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	a := invoke(t, r, runtimetest.Event{Payload: fmt.Appendf(nil, upload, call.EncodeRef(call.BlobRef(param)))})
	var got call.Result
	if err := json.Unmarshal(a.Payload, &got); err != nil || a.Failed || got.BodyRef == nil || got.Body != nil {
		t.Fatalf("answer %.300s, failed %t: %v", a.Payload, a.Failed, err)
	}
	if got.BodyRef.SHA256 != param.SHA256 || got.BodyRef.ContentType != "image/png" || !strings.Contains(got.BodyRef.URL, "/fleet/answers/r-1/") {
		t.Errorf("reference %+v, want one to what was sent: %+v", got.BodyRef, param)
	}
	o, err := blob.Open(t.Context(), store, blob.Ref(*got.BodyRef))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if kept, err := io.ReadAll(o); err != nil || !bytes.Equal(kept, image) {
		t.Errorf("%d bytes are kept, %v, want %d", len(kept), err, len(image))
	}

	// Without a bucket a reference is refused, and is no value to put into a request.
	without, _ := start(t)
	a = invoke(t, without, runtimetest.Event{Payload: fmt.Appendf(nil, upload, call.EncodeRef(call.BlobRef(param)))})
	if !a.Failed || a.ErrorType() != string(call.BadReference) || !strings.Contains(string(a.Payload), "CALLFLEET_BLOBS") {
		t.Errorf("answer %s, failed %t, want %s", a.Payload, a.Failed, call.BadReference)
	}
}
