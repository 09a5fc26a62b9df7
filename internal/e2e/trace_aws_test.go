package e2e

import (
	"testing"

	"callfleet/internal/awstest"
)

// A call over SQS and DynamoDB is one trace as well, the same as over NATS.
func TestOneCallOverSQSIsOneTrace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mode    string
		answers []int
		want    string
	}{
		"workflow with retries": {workflow, []int{503, 429, 200}, workflowStart +
			`      stepfunctions internal execution call-api
        stepfunctions client DynamoDB/GetItem
        stepfunctions producer send tasks
          worker consumer process tasks
            worker internal render
            worker client POST (error 503)
            worker client POST (error 429)
            worker client POST
            worker client report
              stepfunctions server StepFunctions/SendTaskSuccess
`},
		"direct": {direct, []int{200}, `producer producer send tasks
  worker consumer process tasks
    worker internal render
    worker client POST
    worker client report
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := startTraced(t, onAWS(t, awstest.Moto(t)))
			api := newCalledAPI(t, tc.answers...)
			result := tr.run(t, tc.mode, line{tr.put(t, api.template("traced")), tracedParams})[0]
			spans := tr.spans(t)
			if got := tree(spans); got != tc.want {
				t.Errorf("trace is\n%s\nwant\n%s", got, tc.want)
			}
			tr.checkTrace(t, spans, result, api)
		})
	}
}

// AWS Step Functions makes no spans: the trace goes on in the bodies of the
// messages.
func TestOneCallOnAWSIsOneTrace(t *testing.T) {
	t.Parallel()
	tr := startTraced(t, onMoto(t, awstest.Moto(t)))
	api := newCalledAPI(t, 503, 200)
	result := tr.run(t, workflow, line{tr.put(t, api.template("traced")), tracedParams})[0]
	spans := tr.spans(t)
	const want = `producer producer send requests
  worker consumer process requests
  worker consumer process tasks
    worker internal render
    worker client POST (error 503)
    worker client POST
    worker client report
`
	if got := tree(spans); got != want {
		t.Errorf("trace is\n%s\nwant\n%s", got, want)
	}
	tr.checkTrace(t, spans, result, api)
}
