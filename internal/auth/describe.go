package auth

import (
	"net/http"

	"callfleet/internal/call"
)

// Describe shows in req what Apply would set, without a secret: text writes a
// text of an Auth for people.
func Describe(req *http.Request, list []call.Auth, text func(string) string) {
	for _, a := range list {
		switch a.Kind {
		case call.AuthBasic:
			req.Header.Set("Authorization", "Basic [base64 of "+text(a.Username)+":"+text(a.Password)+"]")
		case call.AuthBearer:
			req.Header.Set("Authorization", "Bearer "+text(a.Token))
		case call.AuthAPIKey:
			if a.In != "query" {
				req.Header.Set(a.Name, text(a.Value))
				continue
			}
			if req.URL.RawQuery != "" {
				req.URL.RawQuery += "&"
			}
			req.URL.RawQuery += a.Name + "=" + text(a.Value)
		case call.AuthOAuth2:
			req.Header.Set("Authorization", "Bearer [token for "+text(a.ClientID)+" from "+text(a.TokenURL)+"]")
		case call.AuthHMAC:
			req.Header.Set("Webhook-Id", req.Header.Get("Idempotency-Key"))
			req.Header.Set("Webhook-Timestamp", "[time of the attempt]")
			req.Header.Set("Webhook-Signature", "[signature of the attempt]")
		case call.AuthSigV4:
			req.Header.Set("Authorization", "AWS4-HMAC-SHA256 [signature for "+a.Service+" in "+a.Region+"]")
		}
	}
}
