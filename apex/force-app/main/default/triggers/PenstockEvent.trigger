trigger PenstockEvent on Event(after insert, after update, after delete, after undelete) {
	PenstockCapture.run();
}
