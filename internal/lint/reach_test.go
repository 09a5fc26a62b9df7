package lint

import (
	"slices"
	"strings"
	"testing"
)

// reach keeps packages out of a program, however many imports away.
type reach struct {
	program string
	never   []string
	reason  string
}

var reaches = []reach{
	{
		program: "cmd/worker", never: append(ours("localsfn", "natsembed", "producer"), "github.com/nats-io/nats-server/..."),
		reason: "the worker never embeds anything: its image carries no broker and no engine",
	},
	{
		program: "cmd/stepfunctions", never: ours("producer"),
		reason: "the server makes no calls files and no progress bars",
	},
	{
		program: "cmd/lambda",
		never: append(ours("localsfn", "natsembed", "producer", "queue", "starter", "worker", "stepfn"),
			"github.com/nats-io/...", "github.com/aws/aws-sdk-go-v2/service/sqs/...", "github.com/aws/aws-sdk-go-v2/service/dynamodb/...",
			"github.com/aws/aws-sdk-go-v2/service/sfn/..."),
		reason: "a function makes calls, keeps their bodies and nothing else: every cold start loads what it carries",
	},
}

// paths are the import paths that a program has in it of what it must not, each
// with the chain of imports that leads there.
func (r reach) paths(files []*File) []finding {
	imports := make(map[string][]string) // by directory
	for _, f := range files {
		if !f.IsTest() {
			imports[f.Dir()] = append(imports[f.Dir()], f.Imports()...)
		}
	}
	var found []finding
	seen := map[string]bool{r.program: true}
	for queue := [][]string{{r.program}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		next := imports[chain[len(chain)-1]]
		slices.Sort(next)
		for _, imported := range next {
			if seen[imported] {
				continue
			}
			seen[imported] = true
			longer := append(slices.Clone(chain), strings.TrimPrefix(imported, Module+"/"))
			if Match(imported, r.never...) {
				found = append(found, finding{r.program + " " + imported, strings.Join(longer, " -> ") + ": " + r.reason})
				continue
			}
			queue = append(queue, longer)
		}
	}
	return found
}

func TestProgramsCarryOnlyWhatTheyNeed(t *testing.T) {
	t.Parallel()
	files := load(t)
	for _, r := range reaches {
		t.Run(r.program, func(t *testing.T) {
			t.Parallel()
			report(t, r.paths(files), nil)
		})
	}
}

func TestProgramsCarryCanFail(t *testing.T) {
	t.Parallel()
	for _, r := range reaches {
		for _, pattern := range r.never {
			imported := strings.TrimSuffix(pattern, "/...")
			files := append(planted(t, r.program+"/main.go", Module+"/internal/app"), planted(t, "internal/app/app.go", imported)...)
			if got := r.paths(files); len(got) != 1 || !strings.HasPrefix(got[0].text, r.program+" -> internal/app -> ") {
				t.Errorf("%s behind app: %v, want one chain", imported, got)
			}
		}
	}
}
