package config

import "fmt"

// Template are the commands below "producer template".
type Template struct {
	Put      TemplatePut      `cmd:"" help:"Store the templates of a file or a directory, each as a new version unless it is unchanged."`
	Ls       struct{}         `cmd:"" help:"List the templates."`
	Get      TemplateGet      `cmd:"" help:"Print a template, or a version of it."`
	History  TemplateHistory  `cmd:"" help:"List the versions of a template, the latest first."`
	Diff     TemplateDiff     `cmd:"" help:"Show what differs between two versions of a template."`
	Rollback TemplateRollback `cmd:"" help:"Make an old version of a template current again, as a new version."`
	Rm       TemplateRemove   `cmd:"" help:"Remove a template; its versions are kept."`
	Render   TemplateRender   `cmd:"" help:"Print the HTTP request that a call would send, and send nothing."`
}

// TemplatePut are the settings of "producer template put".
type TemplatePut struct {
	Path       string `arg:"" help:"Template file (*.json), or a directory of them."`
	Versioning `embed:""`
}

// Help is the examples of "producer template put --help".
func (TemplatePut) Help() string {
	return `Examples:

  producer template put get-user.GET.json
  producer template put templates/ --message "orders go to v2 of the API"

Nothing is lost: "producer template history" lists what was put before, "producer template rollback" brings it back.`
}

// Versioning are the settings of commands that make versions.
type Versioning struct {
	Message string `short:"m" help:"Why the version is made, for the history." placeholder:"TEXT"`
	By      string `help:"Who makes it, for the history. Unset, the user of this machine." env:"CALLFLEET_BY,USER,USERNAME" placeholder:"NAME"`
	Keep    int    `help:"How many versions of a template are kept, the latest ones; 0 keeps all. The current version and those of the last hour are kept in any case." env:"CALLFLEET_KEEP_VERSIONS" default:"100" placeholder:"N"`
}

const maxMessage, maxBy = 1000, 200

func (v Versioning) check(p *problems) {
	p.atLeast("keep", v.Keep, 0)
	if len(v.Message) > maxMessage {
		p.add("message", "want at most %d bytes, not %d", maxMessage, len(v.Message))
	}
	if len(v.By) > maxBy {
		p.add("by", "want at most %d bytes, not %d", maxBy, len(v.By))
	}
}

// TemplateKey names one template.
type TemplateKey struct {
	Name   string `arg:"" help:"Name of the template."`
	Method string `arg:"" help:"HTTP method of the template."`
}

// TemplateGet are the settings of "producer template get".
type TemplateGet struct {
	TemplateKey `embed:""`
	Version     int `help:"Print this version, instead of the current one." placeholder:"N"`
}

// TemplateHistory are the settings of "producer template history".
type TemplateHistory struct {
	Name   string `arg:"" help:"Name of the template."`
	Method string `arg:"" optional:"" help:"HTTP method of the template; all of them if left out."`
	JSON   bool   `name:"json" help:"Print one JSON object per version."`
}

// TemplateDiff are the settings of "producer template diff".
type TemplateDiff struct {
	TemplateKey `embed:""`
	A           int `arg:"" optional:"" help:"Version to begin with; the one before the current if left out."`
	B           int `arg:"" optional:"" help:"Version to end with; the current one if left out."`
}

// Help is the examples of "producer template diff --help".
func (TemplateDiff) Help() string {
	return `Examples:

  producer template diff get-user GET        # what the last change was
  producer template diff get-user GET 3      # what has changed since version 3
  producer template diff get-user GET 3 5`
}

// TemplateRollback are the settings of "producer template rollback".
type TemplateRollback struct {
	TemplateKey `embed:""`
	Version     int `arg:"" help:"Version to go back to."`
	Versioning  `embed:""`
}

// TemplateRemove are the settings of "producer template rm".
type TemplateRemove struct {
	TemplateKey `embed:""`
	Purge       bool `help:"Remove all its versions too, for good."`
}

// TemplateRender are the settings of "producer template render".
type TemplateRender struct {
	TemplateKey `embed:""`
	Version     int      `help:"Render this version, instead of the current one." placeholder:"N"`
	Params      []string `name:"param" short:"p" help:"Parameter: name=text, name:=JSON for numbers and objects, or name=@file. Repeatable." placeholder:"NAME=TEXT" sep:"none"`
}

// Help is the examples of "producer template render --help".
func (TemplateRender) Help() string {
	return `Examples:

  producer template render get-user GET -p id=42
  producer template render get-user GET             # with the example that the template has, if it has one`
}

func (t Template) check(command string, p *problems) {
	switch command {
	case "template put":
		t.Put.Versioning.check(p)
	case "template get":
		checkMethod(p, t.Get.Method)
		checkVersion(p, "--version", t.Get.Version)
	case "template history":
		if t.History.Method != "" {
			checkMethod(p, t.History.Method)
		}
	case "template diff":
		checkMethod(p, t.Diff.Method)
		checkVersion(p, "<a>", t.Diff.A)
		checkVersion(p, "<b>", t.Diff.B)
	case "template rollback":
		checkMethod(p, t.Rollback.Method)
		checkVersion(p, "<version>", t.Rollback.Version)
		if t.Rollback.Version == 0 {
			p.list = append(p.list, Problem{"<version>", "want the number of a version, such as 3, not 0"})
		}
		t.Rollback.Versioning.check(p)
	case "template rm":
		checkMethod(p, t.Rm.Method)
	case "template render":
		checkMethod(p, t.Render.Method)
		checkVersion(p, "--version", t.Render.Version)
	}
}

// checkVersion takes 0 for the current version.
func checkVersion(p *problems, setting string, n int) {
	if n < 0 || n > 999_999_999 {
		p.list = append(p.list, Problem{setting, fmt.Sprintf("want the number of a version, such as 3, not %d", n)})
	}
}
