trigger PenstockLead on Lead(after insert, after update, after delete, after undelete) {
	PenstockCapture.run();
}
