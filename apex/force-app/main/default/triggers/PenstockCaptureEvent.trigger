trigger PenstockCaptureEvent on Penstock_Capture__e(after insert) {
	PenstockSend.receive(Trigger.new);
}
