trigger PenstockAccount on Account(after insert, after update, after delete, after undelete) {
	PenstockCapture.run();
}
