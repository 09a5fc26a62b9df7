package cfn_test

import (
	"encoding/json"
	"strings"
	"testing"

	"callfleet/deploy/cdk/internal/cfn"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	values := cfn.Values{"AWS::Region": "us-east-1", "Queue": "http://q", "Queue.Arn": "arn:q"}
	for value, want := range map[string]string{
		`"plain"`:                        `plain`,
		`{"Ref":"Queue"}`:                `http://q`,
		`{"Fn::GetAtt":["Queue","Arn"]}`: `arn:q`,
		`{"Fn::Join":["-",["a",{"Ref":"AWS::Region"},3]]}`:   `a-us-east-1-3`,
		`{"Fn::Sub":"${AWS::Region}/${Queue.Arn}/${!Kept}"}`: `us-east-1/arn:q/${Kept}`,
		`{"a":[{"Ref":"Queue"}],"b":true}`:                   `{"a":["http://q"],"b":true}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatal(err)
		}
		got, err := values.Resolve(v)
		if err != nil || cfn.Text(got) != want {
			t.Errorf("%s: %s, %v; want %s", value, cfn.Text(got), err, want)
		}
	}
}

func TestResolveNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`{"a":{"Ref":"Nobody"}}`:               "a: no value for Nobody",
		`{"Fn::GetAtt":["Queue","Nothing"]}`:   "no value for Queue.Nothing",
		`{"Fn::Join":["",[{"Ref":"Nobody"}]]}`: "no value for Nobody",
		`{"Fn::Sub":"${Nobody}"}`:              "no value for Nobody",
		`{"Fn::ImportValue":"x"}`:              "cannot resolve Fn::ImportValue x",
	} {
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatal(err)
		}
		if _, err := (cfn.Values{}).Resolve(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
}
