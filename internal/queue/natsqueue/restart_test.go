package natsqueue_test

func runChild() bool { return false }
