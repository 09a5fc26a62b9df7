package call

// AuthKind is a way to show who sends a request.
type AuthKind string

// The kinds of Auth.
const (
	AuthBasic  AuthKind = "basic"  // RFC 7617
	AuthBearer AuthKind = "bearer" // RFC 6750
	AuthAPIKey AuthKind = "apiKey" // a header or a query parameter
	AuthOAuth2 AuthKind = "oauth2" // client credentials, RFC 6749 section 4.4
	AuthHMAC   AuthKind = "hmac"   // Standard Webhooks
	AuthSigV4  AuthKind = "sigv4"  // AWS Signature Version 4
	AuthMTLS   AuthKind = "mtls"   // a client certificate
)

// Auth is what a template says of one kind, rendered. Its texts hold marks in
// place of secrets; those that the kind does not have are empty.
type Auth struct {
	Kind AuthKind

	Username, Password string // basic
	Token              string // bearer
	Name, Value, In    string // apiKey; In is "header" or "query"

	TokenURL, ClientID, ClientSecret string // oauth2
	Scopes, Audience                 string // oauth2, scopes with spaces between them
	ClientAuth                       string // oauth2: where the client's secret goes, "header" or "body"

	Keys []string // hmac: one for each signature

	AccessKeyID, SecretAccessKey, SessionToken string // sigv4; all empty for the worker's own
	Region, Service                            string // sigv4

	Certificate, Key, CA string // mtls: PEM; CA "" is the system's
}

// Escape is how a secret is written where its mark stands in a body.
type Escape int

// The escapes of a body. In headers secrets stand as they are, in URLs they
// are percent-encoded.
const (
	EscapeNone Escape = iota
	EscapeJSON        // as part of a JSON string
	EscapeForm
	EscapeXML
)

// Secrets are the secrets of a rendered request, none of which is in it.
type Secrets struct {
	List []Secret
	Body Escape
}

// Secret is one secret: where its mark stands in a text of the request, what
// the reference stands for is sent.
type Secret struct{ Mark, Reference string }
