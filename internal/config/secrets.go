package config

import (
	"os"
	"strings"
	"time"

	"callfleet/internal/secret"
)

// Secrets are the settings of the secrets that templates name.
type Secrets struct {
	Allow []string      `name:"secrets-allow" help:"Secrets that templates may use: what stands behind secret://, or the beginning of it with *." env:"CALLFLEET_SECRETS_ALLOW" default:"${secrets_allow}" group:"Secrets:"`
	Dir   string        `name:"secrets-dir" help:"Directory of the files that secret://file/PATH names. Unset, there are none." env:"CALLFLEET_SECRETS_DIR" placeholder:"DIRECTORY" group:"Secrets:"`
	TTL   time.Duration `name:"secrets-ttl" help:"How old a secret may be; it is read anew from half of that on." env:"CALLFLEET_SECRETS_TTL" default:"5m" group:"Secrets:"`
}

// Sources are those of this machine: its environment and its directory.
func (s Secrets) Sources(getenv func(string) string) map[string]secret.Source {
	sources := map[string]secret.Source{secret.Env: secret.Environment(getenv)}
	if s.Dir != "" {
		sources[secret.File] = secret.Directory(s.Dir)
	}
	return sources
}

func (s Secrets) check(p *problems) {
	if _, err := secret.ParseAllow(s.Allow); err != nil {
		p.add("secrets-allow", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if s.Dir != "" && !isDirectory(s.Dir) {
		p.add("secrets-dir", "want a directory, %q is none", s.Dir)
	}
	p.positive("secrets-ttl", s.TTL)
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// variables are the same settings for a program without flags.
func (s *Secrets) variables() []variable {
	return []variable{
		{"CALLFLEET_SECRETS_ALLOW", strings.Join(secret.DefaultAllow(), ","), "Secrets that templates may use: what stands behind secret://, or the beginning of it with *.",
			into(&s.Allow, parseList, func(list []string) error {
				_, err := secret.ParseAllow(list)
				return err
			})},
		{"CALLFLEET_SECRETS_DIR", "", "Directory of the files that secret://file/PATH names.",
			into(&s.Dir, parseText, func(dir string) error {
				return unless(dir == "" || isDirectory(dir), "want a directory, %q is none", dir)
			})},
		{"CALLFLEET_SECRETS_TTL", "5m", "How old a secret may be; it is read anew from half of that on.",
			into(&s.TTL, parseDuration, func(d time.Duration) error {
				return unless(d > 0, "want more than 0, not %s", d)
			})},
	}
}

func parseList(text string) (any, error) { return strings.Split(text, ","), nil }
