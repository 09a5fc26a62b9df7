package template

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"callfleet/internal/call"
	"callfleet/internal/secret"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/pin"
	"callfleet/internal/template/sandbox"
)

// authField is one text of an Auth that has to be rendered for each call.
type authField struct {
	auth      int // index into Template.auth
	attribute string
	target    func(*call.Auth) *string
	program   *sandbox.Program
	url       bool
}

// fieldSpec is what a kind of auth says of one field.
type fieldSpec struct {
	name     string
	target   func(*call.Auth) *string
	required bool
	secret   bool     // must be a reference
	url      bool     // is a URL that the client's secret is sent to
	oneOf    []string // "" is allowed unless required
	fixed    bool     // not templated
}

type kindSpec struct {
	kind   call.AuthKind
	fields []fieldSpec
	header string // which the kind sets, so that the template cannot
}

// authKinds is what each kind takes. It is never written to.
func authKinds() []kindSpec {
	return []kindSpec{
		{call.AuthBasic, []fieldSpec{
			{name: "username", target: func(a *call.Auth) *string { return &a.Username }, required: true},
			{name: "password", target: func(a *call.Auth) *string { return &a.Password }, secret: true},
		}, "Authorization"},
		{call.AuthBearer, []fieldSpec{
			{name: "token", target: func(a *call.Auth) *string { return &a.Token }, required: true, secret: true},
		}, "Authorization"},
		{call.AuthAPIKey, []fieldSpec{
			{name: "name", target: func(a *call.Auth) *string { return &a.Name }, required: true, fixed: true},
			{name: "value", target: func(a *call.Auth) *string { return &a.Value }, required: true, secret: true},
			{name: "in", target: func(a *call.Auth) *string { return &a.In }, oneOf: []string{"header", "query"}, fixed: true},
		}, ""},
		{call.AuthOAuth2, []fieldSpec{
			{name: "tokenUrl", target: func(a *call.Auth) *string { return &a.TokenURL }, required: true, url: true},
			{name: "clientId", target: func(a *call.Auth) *string { return &a.ClientID }, required: true},
			{name: "clientSecret", target: func(a *call.Auth) *string { return &a.ClientSecret }, required: true, secret: true},
			{name: "scopes", target: func(a *call.Auth) *string { return &a.Scopes }},
			{name: "audience", target: func(a *call.Auth) *string { return &a.Audience }},
			{name: "clientAuth", target: func(a *call.Auth) *string { return &a.ClientAuth }, oneOf: []string{"header", "body"}, fixed: true},
		}, "Authorization"},
		{call.AuthHMAC, nil, "Webhook-Signature"},
		{call.AuthSigV4, []fieldSpec{
			{name: "region", target: func(a *call.Auth) *string { return &a.Region }, required: true},
			{name: "service", target: func(a *call.Auth) *string { return &a.Service }, required: true},
			{name: "accessKeyId", target: func(a *call.Auth) *string { return &a.AccessKeyID }},
			{name: "secretAccessKey", target: func(a *call.Auth) *string { return &a.SecretAccessKey }, secret: true},
			{name: "sessionToken", target: func(a *call.Auth) *string { return &a.SessionToken }, secret: true},
		}, "Authorization"},
		{call.AuthMTLS, []fieldSpec{
			{name: "certificate", target: func(a *call.Auth) *string { return &a.Certificate }, required: true},
			{name: "key", target: func(a *call.Auth) *string { return &a.Key }, required: true, secret: true},
			{name: "ca", target: func(a *call.Auth) *string { return &a.CA }},
		}, ""},
	}
}

const maxAuth = 4 // kinds of one template

// auth reads one map, or a list of maps that are applied in their order.
func (p *parser) auth(t *Template, attributes *itemjson.Attribute) {
	a := attributes.Get("auth")
	switch {
	case a == nil || a.Kind == "NULL":
	case a.Kind == "M":
		p.authOf(t, "auth", a)
	case a.Kind == "L" && len(a.Items) <= maxAuth:
		for i, one := range a.Items {
			at := "auth." + strconv.Itoa(i)
			if one.Kind != "M" {
				p.errorf(at, "must be a map (M), is %s", one.Kind)
				continue
			}
			p.authOf(t, at, one)
		}
	case a.Kind == "L":
		p.errorf("auth", "has %d, at most %d are allowed", len(a.Items), maxAuth)
	default:
		p.errorf("auth", "must be a map (M), or a list (L) of maps, is %s", a.Kind)
	}
}

func (p *parser) authOf(t *Template, at string, a *itemjson.Attribute) {
	kinds := authKinds()
	var names []string
	for _, k := range kinds {
		names = append(names, string(k.kind))
	}
	kind := a.Get("type")
	if kind == nil || kind.Kind != "S" {
		p.errorf(at+".type", "must be one of %s", strings.Join(names, ", "))
		return
	}
	i := slices.Index(names, kind.Text)
	if i < 0 {
		p.errorf(at+".type", "must be one of %s", strings.Join(names, ", "))
		return
	}
	t.auth = append(t.auth, call.Auth{Kind: kinds[i].kind})
	b := &authBuilder{parser: p, template: t, at: at, of: a, spec: kinds[i], index: len(t.auth) - 1}
	b.build()
}

// authBuilder reads one map.
type authBuilder struct {
	parser   *parser
	template *Template
	at       string
	of       *itemjson.Attribute
	spec     kindSpec
	index    int
}

func (b *authBuilder) auth() *call.Auth { return &b.template.auth[b.index] }

func (b *authBuilder) build() {
	known := []string{"type"}
	for _, f := range b.spec.fields {
		known = append(known, f.name)
		b.field(f)
	}
	if b.spec.kind == call.AuthHMAC {
		known = append(known, "keys")
		b.keys()
	}
	for _, m := range b.of.Members {
		if !slices.Contains(known, m.Name) {
			b.parser.errorf(b.at+"."+strings.ToValidUTF8(m.Name, "?"), "is unknown: %s has %s", b.spec.kind, strings.Join(known[1:], ", "))
		}
	}
	b.whole()
}

func (b *authBuilder) field(f fieldSpec) {
	at := b.at + "." + f.name
	value := b.of.Get(f.name)
	switch {
	case value == nil || value.Kind == "NULL" || value.Kind == "S" && value.Text == "":
		if f.required {
			b.parser.errorf(at, "is missing")
		}
		return
	case f.name == "scopes" && value.Kind == "L":
		value = b.joined(at, value)
	case value.Kind != "S":
		b.parser.errorf(at, "must be a text (S), is %s", value.Kind)
		return
	}
	switch {
	case f.fixed && strings.Contains(value.Text, "{"):
		b.parser.errorf(at, "cannot be templated")
	case f.oneOf != nil && !slices.Contains(f.oneOf, value.Text):
		b.parser.errorf(at, "must be %s", strings.Join(f.oneOf, " or "))
	default:
		b.set(at, value.Text, f)
	}
}

// set renders a text once and for all if it has nothing but secrets in it.
func (b *authBuilder) set(at, text string, f fieldSpec) {
	program := b.parser.compileAuth(at, text, f)
	if program == nil {
		return
	}
	if (f.url || f.fixed) && len(program.Secrets()) > 0 {
		b.parser.errorf(at, "cannot hold a secret: it is shown in messages")
		return
	}
	if f.url {
		b.parser.check(at, pin.Check(text))
	}
	if f.secret && len(program.Secrets()) == 0 {
		b.parser.errorf(at, "must be a reference such as secret://env/CALLFLEET_SECRET_NAME: a template is no place for a secret in clear text, and a param is none either")
		return
	}
	if fixed, ok := program.Static(); ok {
		*f.target(b.auth()) = fixed
		return
	}
	b.template.authFields = append(b.template.authFields, authField{b.index, at, f.target, program, f.url})
}

// compileAuth is compile, for which a text that is a reference is one.
func (p *parser) compileAuth(at, text string, f fieldSpec) *sandbox.Program {
	if secret.Is(text) {
		if _, err := secret.Parse(text); err != nil {
			p.errorf(at, "%v", err)
			return nil
		}
		text = `{{ "` + text + `"|secret }}`
	}
	if f.url {
		return p.compile(at, text, sandbox.URL)
	}
	return p.compile(at, text, sandbox.Text)
}

// joined is a list of scopes as OAuth2 writes it.
func (b *authBuilder) joined(at string, list *itemjson.Attribute) *itemjson.Attribute {
	var scopes []string
	for _, one := range list.Items {
		if one.Kind != "S" {
			b.parser.errorf(at, "must be a text (S), or a list (L) of texts")
			return &itemjson.Attribute{Kind: "S"}
		}
		scopes = append(scopes, one.Text)
	}
	return &itemjson.Attribute{Kind: "S", Text: strings.Join(scopes, " ")}
}

const maxKeys = 5

// keys are those of hmac: one text, or a list for rotation.
func (b *authBuilder) keys() {
	at := b.at + ".keys"
	value := b.of.Get("keys")
	var list []*itemjson.Attribute
	switch {
	case value == nil:
		b.parser.errorf(at, "is missing")
		return
	case value.Kind == "S":
		list = []*itemjson.Attribute{value}
	case value.Kind == "L" && 1 <= len(value.Items) && len(value.Items) <= maxKeys:
		list = value.Items
	default:
		b.parser.errorf(at, "must be a reference (S), or a list (L) of 1 to %d", maxKeys)
		return
	}
	b.auth().Keys = make([]string, len(list))
	for i, one := range list {
		if one.Kind != "S" {
			b.parser.errorf(at, "must be a reference (S), or a list (L) of 1 to %d", maxKeys)
			return
		}
		b.set(at, one.Text, fieldSpec{secret: true, target: func(a *call.Auth) *string { return &a.Keys[i] }})
	}
	for _, f := range b.template.authFields {
		if f.auth == b.index { // the rendering would write to what all calls share
			b.parser.errorf(at, "must be references and nothing else")
			return
		}
	}
}

// whole checks what is about more than one field.
func (b *authBuilder) whole() {
	a, p := b.auth(), b.parser
	for i, other := range b.template.auth[:b.index] {
		if other.Kind == a.Kind || b.spec.header != "" && b.spec.header == headerOf(other) {
			p.errorf(b.at+".type", "cannot be used together with the one at %d, %s", i, other.Kind)
		}
	}
	switch a.Kind {
	case call.AuthAPIKey:
		if key := http.CanonicalHeaderKey(a.Name); a.In != "query" && a.Name != "" && (!validHeaderName(a.Name) || reserved(key) || key == "Accept-Encoding") {
			p.errorf(b.at+".name", "is no header name, or one that the HTTP client sets")
		}
	case call.AuthSigV4:
		if (b.of.Get("accessKeyId") == nil) != (b.of.Get("secretAccessKey") == nil) {
			p.errorf(b.at+".accessKeyId", "and secretAccessKey must be given both, or neither for the worker's own credentials")
		}
		if b.of.Get("sessionToken") != nil && b.of.Get("secretAccessKey") == nil {
			p.errorf(b.at+".sessionToken", "needs accessKeyId and secretAccessKey")
		}
	case call.AuthOAuth2:
		if a.TokenURL != "" {
			if _, err := checkURL(a.TokenURL); err != nil {
				p.errorf(b.at+".tokenUrl", "%v", err)
			}
		}
	}
	for _, h := range b.template.headers {
		if key := http.CanonicalHeaderKey(h.name); key == headerOf(*a) || a.Kind == call.AuthHMAC && strings.HasPrefix(key, "Webhook-") {
			p.errorf(h.attribute, "is set by auth")
		}
	}
}

// headerOf is the header that an auth sets, "" for none.
func headerOf(a call.Auth) string {
	if a.Kind == call.AuthAPIKey && a.In != "query" {
		return http.CanonicalHeaderKey(a.Name)
	}
	for _, k := range authKinds() {
		if k.kind == a.Kind {
			return k.header
		}
	}
	return ""
}

// auth renders what is not the same for every call.
func (x *rendering) auth(t *Template) ([]call.Auth, error) {
	if len(t.authFields) == 0 {
		return t.auth, nil
	}
	list := slices.Clone(t.auth)
	for _, f := range t.authFields {
		text, err := x.text(f.attribute, f.program)
		if err != nil {
			return nil, err
		}
		if f.url {
			if text, err = checkURL(text); err != nil {
				return nil, problem(f.attribute, err.Error())
			}
		}
		*f.target(&list[f.auth]) = text
	}
	return list, nil
}
